# Where a network's features put the images, and where in a picture it looks.
ANALYSES["embed"] = lambda experiment, variant: ["embedding.json"]
ANALYSES["map_tsne"] = lambda experiment, variant: ["tsne.json", "tsne.csv"]
ANALYSES["map_cam"] = lambda experiment, variant: ["cam.json", "cam.safetensors"]


rule embed:
    input:
        model=MODEL,
        dataset=dataset_of,
        baseline=of_baseline("embedding.safetensors"),
        baseline_images=of_baseline("embedding_images.csv"),
    output:
        features=result("embedding.safetensors"),
        images=result("embedding_images.csv"),
        result=result("embedding.json"),
    log:
        log_file("embed.log"),
    benchmark:
        log_file("embed.benchmark.tsv")
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
        "SQUEEZED_GPUS={resources.gpu} python scripts/embed.py"
        " --model {input.model} --dataset {input.dataset}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --baseline {input.baseline} --baseline-images {input.baseline_images}"
        " --features {output.features} --images {output.images} --result {output.result}"
        " > {log} 2>&1"


rule map_tsne:
    input:
        features=result("embedding.safetensors"),
        baseline=of_baseline("tsne.csv"),
    output:
        map=result("tsne.csv"),
        result=result("tsne.json"),
    log:
        log_file("map_tsne.log"),
    benchmark:
        log_file("map_tsne.benchmark.tsv")
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
        "python scripts/map_tsne.py --features {input.features}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --baseline {input.baseline} --map {output.map} --result {output.result}"
        " > {log} 2>&1"


rule map_cam:
    input:
        model=MODEL,
        dataset=dataset_of,
        masks=lambda wildcards: experiment_of(wildcards)["cam"]["masks"] or [],
        baseline=of_baseline("cam.safetensors"),
        baseline_images=of_baseline("cam_images.csv"),
    output:
        maps=result("cam.safetensors"),
        images=result("cam_images.csv"),
        result=result("cam.json"),
    log:
        log_file("map_cam.log"),
    benchmark:
        log_file("map_cam.benchmark.tsv")
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
        "SQUEEZED_GPUS={resources.gpu} python scripts/map_cam.py"
        " --model {input.model} --dataset {input.dataset}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --baseline {input.baseline} --baseline-images {input.baseline_images}"
        " --maps {output.maps} --images {output.images} --result {output.result}"
        " > {log} 2>&1"
