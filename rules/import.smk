# Graphs that somebody else made.


rule import_graph:
    input:
        dataset=dataset_of,
    output:
        graph=GRAPH_FILE,
        result=result("import.json"),
    log:
        log_file("import_graph.log"),
    benchmark:
        log_file("import_graph.benchmark.tsv")
    wildcard_constraints:
        experiment=IMPORTED,
    conda:
        "../envs/deployment.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(10),
    params:
        settings=recipe_settings("threads"),
        original=original_stamp,
        code=code_of_step("import_graph"),
    message:
        "Import the {wildcards.variant} graph of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command("import_graph", "dataset", "graph result", seed=True, gpu=False)
