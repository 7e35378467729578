# How hard each variant is to fool, and whether that figure can be believed.


ANALYSES["attack"] = lambda experiment, variant: [
    f"attack_{name}.json"
    for name, attack in experiment["attacks"].items()
    if variant in attack["variants"]
]


rule attack:
    input:
        model=MODEL,
        dataset=dataset_of,
    output:
        result=result("attack_{attack}.json"),
        images=result("attack_{attack}_images.csv"),
        curve=result("attack_{attack}_curve.csv"),
        tensors=result("attack_{attack}.safetensors"),
    log:
        log_file("attack_{attack}.log"),
    benchmark:
        log_file("attack_{attack}.benchmark.tsv")
    wildcard_constraints:
        attack="(?!timing$|variations$)[a-z0-9_]+",
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(2000),
        runtime=minutes(60),
        gpu=gpus,
    params:
        settings=attack_of,
        code=code("attack"),
    message:
        "Attack {wildcards.variant} of {wildcards.experiment}, seed {wildcards.seed}, with protocol {wildcards.attack}"
    shell:
        "SQUEEZED_GPUS={resources.gpu} python scripts/attack.py --model {input.model} --dataset {input.dataset}"
        " --settings {params.settings:q} --result {output.result} --images {output.images}"
        " --curve {output.curve} --tensors {output.tensors} > {log} 2>&1"
