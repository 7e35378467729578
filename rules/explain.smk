# Where a network's features put the images, and where in a picture it looks.
ANALYSES["embed"] = lambda name, variant: ["embedding.json"]
ANALYSES["map_tsne"] = lambda name, variant: ["tsne.json", "tsne.csv"]
ANALYSES["map_cam"] = lambda name, variant: ["cam.json", "cam.safetensors"]


rule embed:
    input:
        graph=GRAPH_FILE,
        dataset=dataset_of,
        baseline=of_baseline(result("embedding.safetensors")),
        baseline_images=of_baseline(result("embedding_images.csv")),
    output:
        features=result("embedding.safetensors"),
        images=result("embedding_images.csv"),
        result=result("embedding.json"),
    log:
        log_file("embed.log"),
    benchmark:
        log_file("embed.benchmark.tsv")
    wildcard_constraints:
        experiment=ANY_VARIANT,
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(10),
        gpu=gpus,
    params:
        settings=settings("embedding", "device", "threads"),
        code=code("embed"),
    message:
        "Embed test images with the {wildcards.variant} network of {wildcards.experiment},"
        " seed {wildcards.seed}"
    shell:
        command(
            "embed",
            "graph dataset baseline baseline_images",
            "features images result",
            seed=True,
        )


rule map_tsne:
    input:
        features=result("embedding.safetensors"),
        baseline=of_baseline(result("tsne.csv")),
    output:
        map=result("tsne.csv"),
        result=result("tsne.json"),
    log:
        log_file("map_tsne.log"),
    benchmark:
        log_file("map_tsne.benchmark.tsv")
    wildcard_constraints:
        experiment=ANY_VARIANT,
    conda:
        "../envs/maps.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1000),
        runtime=minutes(20),
    params:
        settings=settings("tsne", "threads"),
        code=code("map_tsne"),
    message:
        "Map the features of the {wildcards.variant} network of {wildcards.experiment},"
        " seed {wildcards.seed}"
    shell:
        command("map_tsne", "features baseline", "map result", seed=True, gpu=False)


rule map_cam:
    input:
        graph=GRAPH_FILE,
        dataset=dataset_of,
        masks=lambda wildcards: experiment_of(wildcards)["cam"]["masks"] or [],
        baseline=of_baseline(result("cam.safetensors")),
        baseline_images=of_baseline(result("cam_images.csv")),
        baseline_graph=of_baseline(GRAPH_FILE),
        predictions=result("predictions.csv"),
    output:
        maps=result("cam.safetensors"),
        images=result("cam_images.csv"),
        result=result("cam.json"),
    log:
        log_file("map_cam.log"),
    benchmark:
        log_file("map_cam.benchmark.tsv")
    wildcard_constraints:
        experiment=ANY_VARIANT,
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(2000),
        runtime=minutes(30),
        gpu=gpus,
    params:
        settings=settings("cam", "device", "threads"),
        code=code("map_cam"),
    message:
        "Map where the {wildcards.variant} network of {wildcards.experiment} looks,"
        " seed {wildcards.seed}"
    shell:
        command(
            "map_cam",
            "graph dataset masks baseline baseline_images baseline_graph predictions",
            "maps images result",
            seed=True,
        )
