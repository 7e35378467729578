# What else compression changes: on corrupted images, and on images of another kind.
ANALYSES["corruptions"] = lambda name, variant: (
    ["corruptions.json", "corruptions.csv"]
    if config["experiments"][name]["corruptions"]["kinds"]
    else []
)


rule corrupt:
    input:
        graph=GRAPH_FILE,
        baseline=of_baseline(result("corruptions.safetensors")),
        dataset=dataset_of,
    output:
        result=result("corruptions.json"),
        predictions=result("corruptions.safetensors"),
        table=result("corruptions.csv"),
    log:
        log_file("corrupt.log"),
    benchmark:
        log_file("corrupt.benchmark.tsv")
    wildcard_constraints:
        experiment=ANY_VARIANT,
    conda:
        "../envs/deployment.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(60),
    params:
        settings=settings("corruptions", "threads"),
        code=code(
            "corrupt",
            *sorted(
                path.relative_to(ROOT).as_posix()
                for path in (ROOT / "squeezed/corruptions/frost").glob("*.jpg")
            ),
        ),
    message:
        "Corrupt the images of {wildcards.experiment} for {wildcards.variant}, seed {wildcards.seed}"
    shell:
        command(
            "corrupt", "graph baseline dataset", "result predictions table", gpu=False
        )
