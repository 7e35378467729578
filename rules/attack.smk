# How hard each variant is to fool, and whether that figure can be believed.


def attack_of(wildcards):
    """The configured attack's section, with the experiment's device and threads, as JSON."""
    experiment = experiment_of(wildcards)
    return json.dumps(
        {
            "attack": experiment["attacks"][wildcards.attack],
            "device": experiment["device"],
            "threads": experiment["threads"],
        },
        sort_keys=True,
    )


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
        result=RESULT + "attack_{attack}.json",
        images=RESULT + "attack_{attack}_images.csv",
        curve=RESULT + "attack_{attack}_curve.csv",
        tensors=RESULT + "attack_{attack}.safetensors",
    log:
        LOG + "attack_{attack}.log",
    benchmark:
        LOG + "attack_{attack}.benchmark.tsv"
    wildcard_constraints:
        attack="(?!timing$|variations$)[a-z0-9_]+",
    conda:
        "../envs/squeezed.yaml"
    threads: threads_of
    params:
        settings=attack_of,
        code=code("attack"),
    message:
        "Attack {wildcards.variant} of {wildcards.experiment}, seed {wildcards.seed}, with protocol {wildcards.attack}"
    shell:
        "python scripts/attack.py --model {input.model} --dataset {input.dataset}"
        " --settings {params.settings:q} --result {output.result} --images {output.images}"
        " --curve {output.curve} --tensors {output.tensors} > {log} 2>&1"
