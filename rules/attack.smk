# How hard each variant is to fool, and whether that figure can be believed.


ANALYSES["attack"] = lambda name, variant: [
    f"attack_{attack}.json"
    for attack, section in config["experiments"][name]["attacks"].items()
    if variant in section["variants"]
]
TIMINGS["time_attack"] = lambda experiment: [
    "attack_timing.json"
    for attack in [experiment["attack_timing"]["attack"]]
    if attack in experiment["attacks"]
]
ANALYSES["vary_attack"] = lambda name, variant: [
    "attack_variations.json"
    for experiment in [config["experiments"][name]]
    for section in [experiment["attack_variations"]]
    if variant in section["variants"] and section["attack"] in experiment["attacks"]
]
ANALYSES["diagnose_robustness"] = lambda name, variant: [
    "diagnostics.json"
    for experiment in [config["experiments"][name]]
    for attack in [experiment["diagnostics"]["attack"]]
    if variant in experiment["attacks"].get(attack, {}).get("variants", [])
    and BASELINE in experiment["attacks"][attack]["variants"]
]


rule attack:
    input:
        graph=GRAPH_FILE,
        dataset=dataset_of,
        baseline_images=attack_of_baseline("_images.csv"),
        baseline_tensors=attack_of_baseline(".safetensors"),
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
        experiment=where(lambda name: RECIPES[name], attacked),
        attack=r"(?!(timing|variations)\.)[a-z0-9_]+",
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(2000),
        runtime=minutes(60),
        gpu=gpus,
    params:
        settings=attack_of,
        code=code_of_attack("attack", lambda wildcards: wildcards.attack),
    message:
        "Attack {wildcards.variant} of {wildcards.experiment}, seed {wildcards.seed}, with protocol {wildcards.attack}"
    shell:
        command(
            "attack",
            "graph dataset baseline_images baseline_tensors",
            "result images curve tensors",
        )


rule time_attack:
    input:
        graphs=all_graphs_of_seed,
        dataset=dataset_of,
    output:
        result=timing("attack_timing.json"),
    log:
        timing_log("time_attack.log"),
    benchmark:
        timing_log("time_attack.benchmark.tsv")
    conda:
        "../envs/networks.yaml"
    # It measures time: it claims all cores, so that no other job runs beside it.
    threads: all_cores
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(60),
        gpu=gpus,
    params:
        settings=attack_named_by("attack_timing"),
        code=code_of_attack("time_attack", named_by("attack_timing")),
    message:
        "Time the attack on the variants of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command("time_attack", "graphs dataset", "result")


rule vary_attack:
    input:
        graph=GRAPH_FILE,
        dataset=dataset_of,
    output:
        result=result("attack_variations.json"),
        table=result("attack_variations.csv"),
    log:
        log_file("vary_attack.log"),
    benchmark:
        log_file("vary_attack.benchmark.tsv")
    wildcard_constraints:
        experiment=ANY_VARIANT,
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(60),
        gpu=gpus,
    params:
        settings=attack_named_by("attack_variations"),
        code=code_of_attack("vary_attack", named_by("attack_variations")),
    message:
        "Vary the attack on {wildcards.variant} of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command("vary_attack", "graph dataset", "result table")


rule diagnose_robustness:
    input:
        graph=GRAPH_FILE,
        dataset=dataset_of,
        attack_images=diagnosed_attack("_images.csv"),
        attack_tensors=diagnosed_attack(".safetensors"),
        other_images=diagnosed_attack_of_others("_images.csv"),
        other_tensors=diagnosed_attack_of_others(".safetensors"),
    output:
        result=result("diagnostics.json"),
        transfer=result("transfer.csv"),
    log:
        log_file("diagnose_robustness.log"),
    benchmark:
        log_file("diagnose_robustness.benchmark.tsv")
    wildcard_constraints:
        experiment=ANY_VARIANT,
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(30),
        gpu=gpus,
    params:
        settings=attack_named_by("diagnostics"),
        code=code_of_attack("diagnose_robustness", named_by("diagnostics")),
    message:
        "Diagnose the robustness of {wildcards.variant} of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        command(
            "diagnose_robustness",
            "graph dataset attack_images attack_tensors other_images other_tensors",
            "result transfer",
        )
