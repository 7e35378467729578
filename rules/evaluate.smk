# Every variant deployed the same way, and what it then predicts, weighs and costs.
ONNX = "models/{experiment}/seed{seed}/{variant}.onnx"

TIMINGS["time_inference"] = lambda experiment: ["inference_timing.json"]
ANALYSES["evaluation"] = lambda experiment, variant: ["evaluation.json", "layers.csv"]


rule export_onnx:
    input:
        model=MODEL,
    output:
        onnx=ONNX,
    log:
        log_file("export_onnx.log"),
    benchmark:
        log_file("export_onnx.benchmark.tsv")
    conda:
        "../envs/export.yaml"
    resources:
        mem_mb=memory_mb(1000),
        runtime=minutes(5),
    params:
        code=code("export_onnx"),
    message:
        "Export the {wildcards.variant} variant of {wildcards.experiment}, seed {wildcards.seed}, as ONNX"
    shell:
        "python scripts/export_onnx.py --model {input.model} --output {output.onnx} > {log} 2>&1"


rule evaluate:
    input:
        model=MODEL,
        onnx=ONNX,
        baseline_onnx="models/{experiment}/seed{seed}/baseline.onnx",
        dataset=dataset_of,
    output:
        result=result("evaluation.json"),
        predictions=result("predictions.csv"),
        classes=result("classes.csv"),
        layers=result("layers.csv"),
    log:
        log_file("evaluate.log"),
    benchmark:
        log_file("evaluate.benchmark.tsv")
    conda:
        "../envs/deployment.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1000),
        runtime=minutes(15),
    params:
        settings=lambda wildcards: json.dumps(
            {
                "batch_size": experiment_of(wildcards)["evaluation"]["batch_size"],
                "threads": experiment_of(wildcards)["threads"],
            }
        ),
        code=code("evaluate"),
    message:
        "Evaluate the {wildcards.variant} variant of {wildcards.experiment}, seed {wildcards.seed}, deployed"
    shell:
        "python scripts/evaluate.py --model {input.model} --onnx {input.onnx}"
        " --baseline-onnx {input.baseline_onnx} --dataset {input.dataset}"
        " --settings {params.settings:q} --seed {wildcards.seed} --result {output.result}"
        " --predictions {output.predictions} --classes {output.classes} --layers {output.layers}"
        " > {log} 2>&1"


rule time_inference:
    input:
        onnx=lambda wildcards: of_all_variants(ONNX, wildcards),
        dataset=dataset_of,
    output:
        result=timing("inference_timing.json"),
    log:
        timing_log("time_inference.log"),
    benchmark:
        timing_log("time_inference.benchmark.tsv")
    conda:
        "../envs/deployment.yaml"
    # It measures time: it claims all cores, so that no other job runs beside it.
    threads: all_cores
    resources:
        mem_mb=memory_mb(1000),
        runtime=minutes(60),
    params:
        settings=settings("evaluation", "threads"),
        code=code("time_inference"),
    message:
        "Time the variants of {wildcards.experiment}, seed {wildcards.seed}, deployed"
    shell:
        "python scripts/time_inference.py --onnx {input.onnx} --dataset {input.dataset}"
        " --settings {params.settings:q} --result {output.result} > {log} 2>&1"
