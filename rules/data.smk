from squeezed.foundation.source_stamp import source_stamp


rule prepare_dataset:
    output:
        dataset=DATASET,
        summary="data/{dataset}.json",
    log:
        "logs/data/{dataset}.log",
    benchmark:
        "logs/data/{dataset}.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(30),
    params:
        settings=lambda wildcards: json.dumps(
            config["datasets"][wildcards.dataset], sort_keys=True
        ),
        # Not an input: a prepared set stays good where its source is not at hand.
        source=lambda wildcards: source_stamp(
            config["datasets"][wildcards.dataset]["source"]["path"],
            Path(f"data/{wildcards.dataset}.json"),
        ),
        code=code("prepare_dataset"),
    message:
        "Prepare the data set {wildcards.dataset}"
    shell:
        "python scripts/prepare_dataset.py"
        " --name {wildcards.dataset} --settings {params.settings:q}"
        " --output {output.dataset} --summary {output.summary} > {log} 2>&1"
