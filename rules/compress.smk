# Each compressed variant from its parent.


rule prune:
    input:
        parent="models/{experiment}/seed{seed}/baseline.safetensors",
        dataset=dataset_of,
    output:
        model="models/{experiment}/seed{seed}/pruned.safetensors",
        result="results/{experiment}/seed{seed}/pruned/training.json",
        history="results/{experiment}/seed{seed}/pruned/training_history.csv",
        search="results/{experiment}/seed{seed}/pruned/pruning_search.csv",
    log:
        "logs/{experiment}/seed{seed}/pruned/prune.log",
    benchmark:
        "logs/{experiment}/seed{seed}/pruned/prune.benchmark.tsv"
    conda:
        "../envs/networks.yaml"
    threads: training_threads("pruning.recovery")
    resources:
        mem_mb=memory_mb(1500, "pruning.recovery"),
        runtime=minutes(20),
        gpu=training_gpus("pruning.recovery"),
    params:
        settings=settings("pruning", "device", "threads"),
        code=code("prune"),
    message:
        "Prune the baseline of {wildcards.experiment}, seed {wildcards.seed}, and recover"
    shell:
        "SQUEEZED_GPUS={resources.gpu} python scripts/prune.py"
        " --parent {input.parent} --dataset {input.dataset}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --model {output.model} --result {output.result} --history {output.history}"
        " --search {output.search} > {log} 2>&1"


rule ablate:
    input:
        parent="models/{experiment}/seed{seed}/baseline.safetensors",
        dataset=dataset_of,
    output:
        model="models/{experiment}/seed{seed}/ablated.safetensors",
        result="results/{experiment}/seed{seed}/ablated/training.json",
        history="results/{experiment}/seed{seed}/ablated/training_history.csv",
    log:
        "logs/{experiment}/seed{seed}/ablated/ablate.log",
    benchmark:
        "logs/{experiment}/seed{seed}/ablated/ablate.benchmark.tsv"
    conda:
        "../envs/networks.yaml"
    threads: training_threads("ablation.recovery")
    resources:
        mem_mb=memory_mb(1500, "ablation.recovery"),
        runtime=minutes(20),
        gpu=training_gpus("ablation.recovery"),
    params:
        settings=settings("ablation", "device", "threads"),
        code=code("ablate"),
    message:
        "Ablate the baseline of {wildcards.experiment}, seed {wildcards.seed}, and recover"
    shell:
        "SQUEEZED_GPUS={resources.gpu} python scripts/ablate.py"
        " --parent {input.parent} --dataset {input.dataset}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --model {output.model} --result {output.result} --history {output.history}"
        " > {log} 2>&1"


rule quantize:
    input:
        parent=parent_of,
        dataset=dataset_of,
    output:
        model=MODEL,
    log:
        log_file("quantize.log"),
    benchmark:
        log_file("quantize.benchmark.tsv")
    wildcard_constraints:
        variant="|".join(PARENTS),
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(10),
    params:
        settings=settings("quantization", "threads"),
        code=code("quantize"),
        scheme=lambda wildcards: (
            "dynamic" if wildcards.variant == "linear_quantized" else "static"
        ),
    message:
        "Make the {wildcards.variant} variant of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python scripts/quantize.py --parent {input.parent} --dataset {input.dataset}"
        " --scheme {params.scheme} --variant {wildcards.variant}"
        " --settings {params.settings:q} --seed {wildcards.seed} --model {output.model}"
        " > {log} 2>&1"
