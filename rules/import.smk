# Graphs that somebody else made.
ANALYSES["import"] = lambda name, variant: (
    ["import.json"] if RECIPES[name][variant].step == "import" else []
)
ANALYSES["compare_layers"] = lambda name, variant: (
    ["layer_divergence.json"] if variant in imported_beside(name) else []
)


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
        original=imported_stamp,
        code=code_of_step("import_graph"),
    message:
        "Import the {wildcards.variant} graph of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command("import_graph", "dataset", "graph result", seed=True, gpu=False)


rule compare_layers:
    input:
        graph=GRAPH_FILE,
        baseline=of_baseline(GRAPH_FILE),
        dataset=dataset_of,
    output:
        result=result("layer_divergence.json"),
        layers=result("layer_divergence.csv"),
    log:
        log_file("compare_layers.log"),
    benchmark:
        log_file("compare_layers.benchmark.tsv")
    wildcard_constraints:
        experiment=where(imported_beside),
    conda:
        "../envs/deployment.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(10),
    params:
        settings=settings("threads"),
        code=code("compare_layers"),
    message:
        "Compare the layers of {wildcards.variant} with the baseline's, {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command("compare_layers", "graph baseline dataset", "result layers", gpu=False)
