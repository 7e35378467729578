# The words of the paths, and what a job is a function of: its settings and its code.
import copy
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rules.warm.start import CLIENT, start
from squeezed.configuration.completion import load_schema
from squeezed.configuration.plan import read_configuration
from squeezed.configuration.recipes import BASELINE, GRAPH, NETWORK, recipes_of
from squeezed.foundation.allocation import ALLOCATION
from squeezed.foundation.code_digest import code_digest
from squeezed.configuration.targets import asks_to_touch, check_targets
from squeezed.foundation.environment import check_torch_builds
from squeezed.foundation.files import user_path
from squeezed.configuration.architectures import facts_of
from squeezed.foundation.workers import WORKERS_VARIABLE
from squeezed.foundation.source_stamp import own_weights, source_stamp
from squeezed.graphs.foreign.original_stamp import original_stamp

# What a run makes and DVC versions, with Snakemake's records of it.
OUTPUT_FOLDERS = ("data", "models", "results", "reports/generated")
RECORDS = Path(".snakemake/metadata")
# What was found out of architectures and of modules, for plans to come.
FACTS = Path(".snakemake/architectures")
MEANINGS = Path(".snakemake/code")


def check_records():
    """Refuse outputs without Snakemake's records: it would take them as they are, for ever.

    Raises:
        UserError: if there are such outputs.
    """
    # Marks of jobs that were stopped: these run again.
    running = Path(".snakemake/incomplete")
    if any(path.is_file() for path in (*RECORDS.rglob("*"), *running.rglob("*"))):
        return
    for folder in OUTPUT_FOLDERS:
        found = next((path for path in Path(folder).rglob("*") if path.is_file()), None)
        if found is not None:
            raise UserError(
                f"{found} is there, but {RECORDS}, which says how the outputs were made, is not: "
                "bring it back with `dvc checkout`, or delete "
                f"{', '.join(OUTPUT_FOLDERS)} and run again"
            )


for variable, value in ALLOCATION.items():
    os.environ.setdefault(variable, value)
# Texts are UTF-8 in every job, whatever the machine's locale says.
os.environ.update(PYTHONUTF8="1")

try:
    check_torch_builds()
    # As it was written, defaults left out: what the report says how to redo it with.
    WRITTEN = copy.deepcopy(config)
    config = read_configuration(
        config,
        load_schema(ROOT / "config.schema.yaml"),
        lambda architecture: facts_of(architecture, FACTS),
    )
    # Snakemake tells its targets only later, when an input function would raise a KeyError.
    check_targets(sys.argv[1:], config)
    if workflow.is_main_process:
        check_records()
    os.environ[WORKERS_VARIABLE] = str(config["workers"])
except UserError as error:
    sys.exit(f"error: {error}")

DATASET = "data/{dataset}.safetensors"
NETWORK_FILE = "models/{experiment}/seed{seed}/{variant}.safetensors"
GRAPH_FILE = "models/{experiment}/seed{seed}/{variant}.onnx"
CARD_FILE = "models/{experiment}/seed{seed}/{variant}.md"
RESULT = "results/{experiment}/seed{seed}/{variant}/"
LOG = "logs/{experiment}/seed{seed}/{variant}/"
# Variants are timed side by side, so their times are one result for each seed.
TIMING = "results/{experiment}/seed{seed}/"
TIMING_LOG = "logs/{experiment}/seed{seed}/"
# What is compared between seeds is one result for each experiment.
COMPARISON = "results/{experiment}/"
REHEARSAL = "results/{experiment}/rehearsal.json"
REPORT = "reports/generated/report.html"
PARTIAL_REPORT = "reports/partial"

RECIPES = {
    name: recipes_of(experiment) for name, experiment in config["experiments"].items()
}


def result(file):
    """The path of a file among a variant's results."""
    return f"{RESULT}{file}"


def log_file(name):
    """The path of a file among a variant's logs."""
    return f"{LOG}{name}"


def timing(file):
    """The path of a file of times among a seed's results."""
    return f"{TIMING}{file}"


def timing_log(name):
    """The path of a file among a seed's logs."""
    return f"{TIMING_LOG}{name}"


def across_seeds(file):
    """The path of a file among an experiment's results of all seeds together."""
    return f"{COMPARISON}{file}"


def given_files():
    """Yield the key, the path and the product of each of the user's files that this run reads."""
    for name in config["run"]:
        experiment = config["experiments"][name]
        where = f"experiments.{name}"
        for dataset in filter(
            None, (experiment["dataset"], experiment["unfamiliar"]["dataset"])
        ):
            path = config["datasets"][dataset]["source"]["path"]
            made = DATASET.format(dataset=dataset)
            yield f"datasets.{dataset}.source.path", path, made
        made = {"experiment": name, "seed": experiment["seeds"][0]}
        weights = own_weights((experiment["architecture"] or {}).get("weights"))
        yield f"{where}.architecture.weights", weights, NETWORK_FILE.format(
            **made, variant=BASELINE
        )
        for variant, recipe in RECIPES[name].items():
            if recipe.step == "import":
                path = recipe.settings["path"]
                yield f"{where}.variants.{variant}.path", path, GRAPH_FILE.format(
                    **made, variant=variant
                )
        yield f"{where}.cam.masks", experiment["cam"]["masks"], None


def check_given_files():
    """Refuse files of the user's that are not there, before any job.

    Where something was made of one already, it may be gone, as on another machine.

    Raises:
        UserError: for the first such file.
    """
    for key, path, made in given_files():
        if path and not any(map(os.path.exists, filter(None, (made, user_path(path))))):
            raise UserError(
                f"config.yaml: {key} is {path!r}, and there is no such file"
            )


if workflow.is_main_process:
    try:
        check_given_files()
    except UserError as error:
        sys.exit(f"error: {error}")


# For each analysis, by the name of its rule: a function of an experiment's and a variant's name
# that names the result files. The rules' own files fill it in; the report asks for all of them.
ANALYSES = {}
# The same for what times all variants of a seed: a function of an experiment's section.
TIMINGS = {}
# And for what compares all seeds of an experiment.
COMPARISONS = {}


def one_of(names):
    """A pattern that matches these names and no others: no target that nobody configured."""
    return "|".join(map(re.escape, names)) or "(?!)"


def imported_beside(name):
    """The experiment's imported variants that stand beside its baseline."""
    return [
        variant
        for variant, recipe in RECIPES[name].items()
        if recipe.step == "import" and variant != BASELINE
    ]


def where(variants_of, then=lambda name, variant: "[./]"):
    """The pattern of `experiment` where the path goes on with certain variants.

    The same name may be made differently in two experiments, so pairs of both count.

    Args:
        variants_of: a function of an experiment's name: the variants.
        then: a function of experiment and variant: the pattern of what follows.
    """
    pairs = [
        rf"{re.escape(name)}/seed\d+/{re.escape(variant)}{then(name, variant)}"
        for name in RECIPES
        for variant in variants_of(name)
    ]
    return rf"(?=({'|'.join(pairs) or '(?!)'}))[^/]+"


def made_by(kind):
    """The pattern of `experiment` where the variant's step makes a network, or a graph, of another."""
    return where(
        lambda name: [
            v
            for v, r in RECIPES[name].items()
            if r.makes == kind and r.step != "import"
        ]
    )


IMPORTED = where(
    lambda name: [v for v, r in RECIPES[name].items() if r.step == "import"]
)
ANY_VARIANT = where(lambda name: RECIPES[name])


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    experiment=one_of(config["experiments"]),
    seed=r"\d+",
    variant="[A-Za-z0-9_-]+",
    attack="[a-z0-9_]+",


def experiment_of(wildcards):
    """The experiment's section of the configuration."""
    return config["experiments"][wildcards.experiment]


def dataset_of(wildcards):
    """The experiment's prepared data set."""
    return DATASET.format(dataset=experiment_of(wildcards)["dataset"])


def recipe_of(wildcards):
    """The recipe of the job's variant."""
    return RECIPES[wildcards.experiment][wildcards.variant]


def runs():
    """Each (experiment, seed, variant) that the configuration asks for."""
    for name in config["run"]:
        for seed in config["experiments"][name]["seeds"]:
            for variant in RECIPES[name]:
                yield name, seed, variant


def all_graphs():
    """The deployed file of each run."""
    return [
        GRAPH_FILE.format(experiment=name, seed=seed, variant=variant)
        for name, seed, variant in runs()
    ]


def all_results(wildcards=None):
    """The result files of every analysis of each run, the times, and what rehearsals noted."""
    files = [
        RESULT.format(experiment=name, seed=seed, variant=variant) + file
        for name, seed, variant in runs()
        for files in ANALYSES.values()
        for file in files(name, variant)
    ]
    times = [
        TIMING.format(experiment=name, seed=seed) + file
        for name in config["run"]
        for seed in config["experiments"][name]["seeds"]
        for files in TIMINGS.values()
        for file in files(config["experiments"][name])
    ]
    comparisons = [
        COMPARISON.format(experiment=name) + file
        for name in config["run"]
        for files in COMPARISONS.values()
        for file in files(config["experiments"][name])
    ]
    rehearsals = [REHEARSAL.format(experiment=name) for name in config["run"]]
    return rehearsals + files + times + comparisons


def all_graphs_of_seed(wildcards):
    """The deployed file of each variant of a seed."""
    return [
        GRAPH_FILE.format(**wildcards, variant=variant)
        for variant in RECIPES[wildcards.experiment]
    ]


def parent_of(pattern):
    """A function of the wildcards: this file of the variant's parent, nothing without one."""

    def path(wildcards):
        parent = recipe_of(wildcards).parent
        values = {**wildcards, "variant": parent}
        return pattern.format(**values) if parent else []

    return path


def of_baseline(pattern):
    """A function of the wildcards: the baseline's file of this pattern, nothing for itself."""

    def path(wildcards):
        if wildcards.variant == BASELINE:
            return []
        return pattern.format(**{**wildcards, "variant": BASELINE})

    return path


def with_siblings(files):
    """These files, and the other outputs of the jobs that make them.

    Snakemake compares parameters only where all outputs of a job have records. Where a newer
    version of the project adds an output, old results would count as good if it was not asked for.
    """
    found = dict.fromkeys(files)
    for file in files:
        for maker in workflow.rules:
            if maker.is_producer(file):
                wildcards = maker.get_wildcards(file)
                found.update(
                    dict.fromkeys(o.apply_wildcards(wildcards) for o in maker.output)
                )
    return list(found)


def everything(wildcards):
    """What a run makes: not the report alone, else deleted results would not be made again."""
    return with_siblings([*all_graphs(), *all_results(), REPORT])


def check_touch():
    """Refuse `--touch` where outputs are missing: it would write records of what is not there.

    Whatever came to lie there later would count as made from these very inputs.
    """
    if asks_to_touch(sys.argv[1:]) and workflow.is_main_process:
        missing = next((f for f in everything({}) if not Path(f).exists()), None)
        if missing is not None:
            sys.exit(
                f"error: --touch takes outputs for good that are there, but {missing} is not: run "
                "without it"
            )


def settings(*sections):
    """A function of the wildcards: these sections of the experiment, as one JSON parameter.

    One parameter, because Snakemake compares parameters as a set of values and would not see
    that two of them were swapped.
    """

    def as_json(wildcards):
        experiment = experiment_of(wildcards)
        return json.dumps({name: experiment[name] for name in sections}, sort_keys=True)

    return as_json


def recipe_settings(*sections):
    """A function of the wildcards: the variant's recipe, and these sections, as one JSON text."""

    def as_json(wildcards):
        experiment = experiment_of(wildcards)
        chosen = {name: experiment[name] for name in sections}
        recipe = recipe_of(wildcards)
        if recipe.parent is not None:
            chosen.pop("architecture", None)  # its parent has one already
        return json.dumps(
            {"variant": recipe.name, "recipe": recipe.as_mapping(), **chosen},
            sort_keys=True,
        )

    return as_json


@functools.cache
def code(script, *others, entries=()):
    """A digest of a script, of all it imports from this project and of the pinned requirements.

    With `others`, of further files too, by their path in the project: a file that is kept in git
    may be changed without becoming newer. With `entries`, of modules that the script imports by
    their name in the settings, and of what they import.
    """
    pinned = [ROOT / name for name in ("requirements.txt", *others)]
    script = ROOT / "scripts" / f"{script}.py"
    return code_digest(
        script,
        ROOT,
        pinned,
        entries=entries,
        further_roots=(OWN_STEPS,),
        memory=MEANINGS,
    )


def code_of_step(script):
    """A function of the wildcards: the digest of a script and of the variant's own step."""

    def digest(wildcards):
        return code(script, entries=(recipe_of(wildcards).entry.partition(":")[0],))

    return digest


def code_of_steps(script):
    """A function of the wildcards: the digest of a script and of the experiment's steps."""

    def digest(wildcards):
        recipes = RECIPES[wildcards.experiment].values()
        modules = {recipe.entry.partition(":")[0] for recipe in recipes}
        return code(script, entries=tuple(sorted(modules)))

    return digest


def code_of_attack(script, name_of):
    """A function of the wildcards: the digest of a script and of the attack's own method."""

    def digest(wildcards):
        attacks = experiment_of(wildcards)["attacks"]
        method = attacks[name_of(wildcards)]["method"]
        return code(script, entries=(f"squeezed.attacks.{method}",))

    return digest


def named_by(section):
    """A function of the wildcards: the attack that a section names."""
    return lambda wildcards: experiment_of(wildcards)[section]["attack"]


def command(script, inputs, outputs, *, seed=False, gpu=True):
    """The command of a rule: the script of its name, with its files under their names.

    Through the client of the warm process (rules/warm), which without one starts plain Python.
    With `gpu`, how many GPUs the workflow decided on stands in the script's environment.
    """
    parts = ["SQUEEZED_GPUS={resources.gpu}"] if gpu else []
    parts.append(f"python -I -S {CLIENT} scripts/{script}.py")
    for kind, names in (("input", inputs), ("output", outputs)):
        parts += [
            f"--{name.replace('_', '-')} {{{kind}.{name}}}" for name in names.split()
        ]
    parts.append("--settings {params.settings:q}")
    parts += ["--seed {wildcards.seed}"] if seed else []
    return f"{' '.join(parts)} > {{log}} 2>&1"


def weights_stamp(wildcards):
    """What tells that a file of pretrained weights is no longer the same."""
    path = own_weights(experiment_of(wildcards)["architecture"]["weights"])
    if path is None or recipe_of(wildcards).parent is not None:
        return None
    return source_stamp(
        path, Path(result("training.json").format(**wildcards)), "weights_stamp"
    )


def imported_stamp(wildcards):
    """What tells that the imported file, or one with its weights, is no longer the same."""
    made = Path(result("import.json").format(**wildcards))
    return original_stamp(recipe_of(wildcards).settings["path"], made)


def threads_of(wildcards):
    """The experiment's threads for a job that computes with a network."""
    return experiment_of(wildcards)["threads"]


def attack_of(wildcards):
    """The configured attack's section, with the experiment's device and threads, as JSON."""
    experiment = experiment_of(wildcards)
    attack = experiment["attacks"][wildcards.attack]
    return json.dumps(
        {
            "attack": {k: v for k, v in attack.items() if k != "variants"},
            "device": experiment["device"],
            "threads": experiment["threads"],
        },
        sort_keys=True,
    )


def attack_named_by(section):
    """A function of the wildcards: this section, the attack that it names, device and threads."""

    def as_json(wildcards):
        experiment = experiment_of(wildcards)
        attack = experiment["attacks"][experiment[section]["attack"]]
        return json.dumps(
            {
                section: {
                    k: v for k, v in experiment[section].items() if k != "variants"
                },
                "attack": {k: v for k, v in attack.items() if k != "variants"},
                "device": experiment["device"],
                "threads": experiment["threads"],
            },
            sort_keys=True,
        )

    return as_json


def attacked(name, variant):
    """The pattern of a path from a variant on, where one of the configured attacks is run on it."""
    attacks = [
        attack
        for attack, section in config["experiments"][name]["attacks"].items()
        if variant in section["variants"]
    ]
    return f"[/]attack_({one_of(attacks)})[._]"


def attack_of_baseline(ending):
    """A function of the wildcards: this file of the same attack on the baseline.

    Nothing for the baseline, for an attack that is not run on it, and for one that does not ask for
    what fools another variant.
    """

    def path(wildcards):
        attack = experiment_of(wildcards)["attacks"][wildcards.attack]
        if BASELINE not in attack["variants"] or not attack.get("transferred"):
            return []
        return of_baseline(result("attack_{attack}") + ending)(wildcards)

    return path


def diagnosed_attack(ending):
    """A function of the wildcards: the path of a file of the attack that the diagnostics examine."""

    def path(wildcards):
        name = experiment_of(wildcards)["diagnostics"]["attack"]
        return result(f"attack_{name}{ending}").format(**wildcards)

    return path


def diagnosed_attack_of_others(ending):
    """The same of each other variant of the seed that is attacked so."""

    def paths(wildcards):
        experiment = experiment_of(wildcards)
        name = experiment["diagnostics"]["attack"]
        return [
            result(f"attack_{name}{ending}").format(**{**wildcards, "variant": variant})
            for variant in RECIPES[wildcards.experiment]
            if variant in experiment["attacks"][name]["variants"]
            and variant != wildcards.variant
        ]

    return paths
