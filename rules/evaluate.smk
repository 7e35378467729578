# What every variant predicts, weighs and costs, deployed the same way.
ANALYSES["evaluation"] = lambda name, variant: ["evaluation.json", "layers.csv"]
COMPARISONS["compare_seeds"] = lambda experiment: (
    ["seed_comparison.json", "exemplars.csv"] if len(experiment["seeds"]) > 1 else []
)
TIMINGS["time_inference"] = lambda experiment: ["inference_timing.json"]


rule evaluate:
    input:
        graph=GRAPH_FILE,
        baseline=of_baseline(GRAPH_FILE),
        dataset=dataset_of,
    output:
        result=result("evaluation.json"),
        predictions=result("predictions.csv"),
        classes=result("classes.csv"),
        reliability=result("reliability.csv"),
        layers=result("layers.csv"),
    log:
        log_file("evaluate.log"),
    benchmark:
        log_file("evaluate.benchmark.tsv")
    wildcard_constraints:
        experiment=ANY_VARIANT,
    conda:
        "../envs/deployment.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1000),
        runtime=minutes(15),
    params:
        settings=lambda wildcards: json.dumps(
            {
                "evaluation": {
                    key: experiment_of(wildcards)["evaluation"][key]
                    for key in ("batch_size", "engines")
                },
                "threads": experiment_of(wildcards)["threads"],
            },
            sort_keys=True,
        ),
        code=code("evaluate"),
    message:
        "Evaluate the {wildcards.variant} variant of {wildcards.experiment}, seed {wildcards.seed}, deployed"
    shell:
        command(
            "evaluate",
            "graph baseline dataset",
            "result predictions classes reliability layers",
            gpu=False,
        )


rule compare_seeds:
    input:
        predictions=lambda wildcards: [
            result("predictions.csv").format(
                experiment=wildcards.experiment, seed=seed, variant=variant
            )
            for seed in experiment_of(wildcards)["seeds"]
            for variant in RECIPES[wildcards.experiment]
        ],
    output:
        result=across_seeds("seed_comparison.json"),
        exemplars=across_seeds("exemplars.csv"),
    log:
        "logs/{experiment}/compare_seeds.log",
    benchmark:
        "logs/{experiment}/compare_seeds.benchmark.tsv"
    conda:
        "../envs/deployment.yaml"
    resources:
        mem_mb=memory_mb(1000),
        runtime=minutes(5),
    params:
        settings=lambda wildcards: json.dumps(
            {
                "seeds": experiment_of(wildcards)["seeds"],
                "variants": list(RECIPES[wildcards.experiment]),
            },
            sort_keys=True,
        ),
        code=code("compare_seeds"),
    message:
        "Compare the seeds of {wildcards.experiment}: the images that compression changes"
    shell:
        command("compare_seeds", "predictions", "result exemplars", gpu=False)


rule time_inference:
    input:
        graphs=all_graphs_of_seed,
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
        command("time_inference", "graphs dataset", "result", gpu=False)
