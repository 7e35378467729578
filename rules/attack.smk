# How hard each variant is to fool, and whether that figure can be believed.


ANALYSES["attack"] = lambda experiment, variant: [
    f"attack_{name}.json"
    for name, attack in experiment["attacks"].items()
    if variant in attack["variants"]
]
TIMINGS["time_attack"] = lambda experiment: [
    "attack_timing.json"
    for attack in [experiment["attack_timing"]["attack"]]
    if attack in experiment["attacks"]
]
ANALYSES["vary_attack"] = lambda experiment, variant: [
    "attack_variations.json"
    for section in [experiment["attack_variations"]]
    if variant in section["variants"] and section["attack"] in experiment["attacks"]
]
ANALYSES["diagnose_robustness"] = lambda experiment, variant: [
    "diagnostics.json"
    for attack in [experiment["diagnostics"]["attack"]]
    if variant in experiment["attacks"].get(attack, {}).get("variants", [])
    and "baseline" in experiment["attacks"][attack]["variants"]
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
        code=code("attack"),
    message:
        "Attack {wildcards.variant} of {wildcards.experiment}, seed {wildcards.seed}, with protocol {wildcards.attack}"
    shell:
        "SQUEEZED_GPUS={resources.gpu} python scripts/attack.py --model {input.model} --dataset {input.dataset}"
        " --settings {params.settings:q} --result {output.result} --images {output.images}"
        " --curve {output.curve} --tensors {output.tensors} > {log} 2>&1"


rule time_attack:
    input:
        models=lambda wildcards: of_all_variants(MODEL, wildcards),
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
        code=code("time_attack"),
    message:
        "Time the attack on the variants of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "SQUEEZED_GPUS={resources.gpu} python scripts/time_attack.py --models {input.models} --dataset {input.dataset}"
        " --settings {params.settings:q} --result {output.result} > {log} 2>&1"


rule vary_attack:
    input:
        model=MODEL,
        dataset=dataset_of,
    output:
        result=result("attack_variations.json"),
        table=result("attack_variations.csv"),
    log:
        log_file("vary_attack.log"),
    benchmark:
        log_file("vary_attack.benchmark.tsv")
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(60),
        gpu=gpus,
    params:
        settings=attack_named_by("attack_variations"),
        code=code("vary_attack"),
    message:
        "Vary the attack on {wildcards.variant} of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "SQUEEZED_GPUS={resources.gpu} python scripts/vary_attack.py --model {input.model} --dataset {input.dataset}"
        " --settings {params.settings:q} --result {output.result} --table {output.table}"
        " > {log} 2>&1"


rule diagnose_robustness:
    input:
        model=MODEL,
        onnx=ONNX,
        dataset=dataset_of,
        attack_images=diagnosed_attack("{variant}", "_images.csv"),
        attack_tensors=diagnosed_attack("{variant}", ".safetensors"),
        baseline_images=diagnosed_attack("baseline", "_images.csv"),
        baseline_tensors=diagnosed_attack("baseline", ".safetensors"),
    output:
        result=result("diagnostics.json"),
    log:
        log_file("diagnose_robustness.log"),
    benchmark:
        log_file("diagnose_robustness.benchmark.tsv")
    conda:
        "../envs/networks.yaml"
    threads: threads_of
    resources:
        mem_mb=memory_mb(1500),
        runtime=minutes(30),
        gpu=gpus,
    params:
        settings=settings("diagnostics", "device", "threads"),
        code=code("diagnose_robustness"),
    message:
        "Diagnose the robustness of {wildcards.variant} of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "SQUEEZED_GPUS={resources.gpu} python scripts/diagnose_robustness.py --model {input.model} --onnx {input.onnx}"
        " --dataset {input.dataset} --attack-images {input.attack_images}"
        " --attack-tensors {input.attack_tensors} --baseline-images {input.baseline_images}"
        " --baseline-tensors {input.baseline_tensors} --settings {params.settings:q}"
        " --result {output.result} > {log} 2>&1"
