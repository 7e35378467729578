# How each variant is made: networks by steps that train, graphs by export and by steps that convert.
ANALYSES["training"] = lambda name, variant: (
    ["training.json", "training_history.csv"]
    if RECIPES[name][variant].makes == NETWORK
    else []
)


rule rehearse:
    input:
        dataset=dataset_of,
        summary=lambda wildcards: dataset_of(wildcards).replace(".safetensors", ".json"),
    output:
        result=REHEARSAL,
    log:
        "logs/{experiment}/rehearse.log",
    benchmark:
        "logs/{experiment}/rehearse.benchmark.tsv"
    # First and beside no training, so that nothing is trained where it refuses: profiles/ limit
    # `networks` to what it asks for. Not an input of what is made: behind an `ancient` input
    # Snakemake overlooks what else has changed.
    priority: 100
    conda:
        "../envs/networks.yaml"
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(10),
        networks=1000,
    params:
        settings=settings(
            "architecture",
            "variants",
            "left_out",
            "embedding",
            "tsne",
            "cam",
        ),
        code=code_of_steps("rehearse"),
    message:
        "Rehearse {wildcards.experiment} on an untrained network: what cannot work is said now"
    shell:
        command("rehearse", "dataset summary", "result", gpu=False)


rule make_network:
    input:
        parent=parent_of(NETWORK_FILE),
        dataset=dataset_of,
    output:
        network=NETWORK_FILE,
        result=result("training.json"),
        history=result("training_history.csv"),
    log:
        log_file("make_network.log"),
    benchmark:
        log_file("make_network.benchmark.tsv")
    wildcard_constraints:
        experiment=made_by(NETWORK),
    conda:
        "../envs/networks.yaml"
    threads: training_threads
    resources:
        mem_mb=training_memory_mb(1500),
        runtime=minutes(20),
        gpu=training_gpus,
        networks=1,
    params:
        settings=recipe_settings("architecture", "device", "threads"),
        weights=weights_stamp,
        code=code_of_step("make_network"),
    message:
        "Make the {wildcards.variant} network of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command("make_network", "parent dataset", "network result history", seed=True)


rule export_graph:
    input:
        network=NETWORK_FILE,
        dataset=dataset_of,
    output:
        graph=GRAPH_FILE,
        result=result("export.json"),
    log:
        log_file("export_graph.log"),
    benchmark:
        log_file("export_graph.benchmark.tsv")
    wildcard_constraints:
        experiment=made_by(NETWORK),
    conda:
        "../envs/networks.yaml"
    resources:
        mem_mb=memory_mb(1000),
        runtime=minutes(5),
    params:
        settings=recipe_settings(),
        code=code("export_graph"),
    message:
        "Export the {wildcards.variant} network of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command("export_graph", "network dataset", "graph result", gpu=False)


rule make_graph:
    input:
        parent=parent_of(GRAPH_FILE),
        dataset=dataset_of,
    output:
        graph=GRAPH_FILE,
        result=result("conversion.json"),
    log:
        log_file("make_graph.log"),
    benchmark:
        log_file("make_graph.benchmark.tsv")
    wildcard_constraints:
        experiment=made_by(GRAPH),
    conda:
        "../envs/deployment.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(10),
    params:
        settings=recipe_settings("threads"),
        code=code_of_step("make_graph"),
    message:
        "Make the {wildcards.variant} graph of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command("make_graph", "parent dataset", "graph result", seed=True, gpu=False)
