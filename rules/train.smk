from squeezed.foundation.source_stamp import own_weights, source_stamp


rule train_baseline:
    input:
        dataset=dataset_of,
    output:
        model="models/{experiment}/seed{seed}/baseline.safetensors",
        result="results/{experiment}/seed{seed}/baseline/training.json",
        history="results/{experiment}/seed{seed}/baseline/training_history.csv",
    log:
        "logs/{experiment}/seed{seed}/baseline/train_baseline.log",
    benchmark:
        "logs/{experiment}/seed{seed}/baseline/train_baseline.benchmark.tsv"
    conda:
        "../envs/networks.yaml"
    threads: training_threads("training")
    resources:
        mem_mb=memory_mb(1500, "training"),
        runtime=minutes(20),
        gpu=training_gpus("training"),
    params:
        settings=settings("architecture", "training", "device", "threads"),
        weights=lambda wildcards: source_stamp(
            own_weights(experiment_of(wildcards)["architecture"]["weights"]),
            Path(
                RESULT.format(
                    experiment=wildcards.experiment,
                    seed=wildcards.seed,
                    variant="baseline",
                )
            )
            / "training.json",
            "weights_stamp",
        ),
        code=code("train_baseline"),
    message:
        "Train the baseline of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "SQUEEZED_GPUS={resources.gpu} python scripts/train_baseline.py"
        " --dataset {input.dataset} --settings {params.settings:q} --seed {wildcards.seed}"
        " --model {output.model} --result {output.result} --history {output.history} > {log} 2>&1"
