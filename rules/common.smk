# The words of the paths, and what each rule is a function of: its settings and its code.
import json
import os
import sys
from pathlib import Path

from squeezed.code_digest import code_digest
from squeezed.configuration import complete_configuration, load_schema
from squeezed.errors import UserError

# Jobs use the Python that runs Snakemake, also where its environment is not activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

ROOT = Path(workflow.basedir)

try:
    config = complete_configuration(config, load_schema(ROOT / "config.schema.yaml"))
except UserError as error:
    sys.exit(f"error: {error}")

DATASET = "data/{dataset}.safetensors"
MODEL = "models/{experiment}/seed{seed}/{variant}.safetensors"
RESULT = "results/{experiment}/seed{seed}/{variant}/"
LOG = "logs/{experiment}/seed{seed}/{variant}/"


wildcard_constraints:
    dataset="[^/]+",
    experiment="[^/]+",
    seed=r"\d+",
    variant="[a-z_]+",
    attack="[a-z0-9_]+",


def experiment_of(wildcards):
    """The experiment's section of the configuration."""
    return config["experiments"][wildcards.experiment]


def dataset_of(wildcards):
    """The experiment's prepared data set."""
    return DATASET.format(dataset=experiment_of(wildcards)["dataset"])


def settings(*sections):
    """A function of the wildcards: these sections of the experiment, as one JSON parameter.

    One parameter, because Snakemake compares parameters as a set of values and would not see
    that two of them were swapped.
    """

    def as_json(wildcards):
        experiment = experiment_of(wildcards)
        return json.dumps({name: experiment[name] for name in sections}, sort_keys=True)

    return as_json


def code(script):
    """A digest of a script, of all it imports from this project and of the pinned requirements."""
    return code_digest(
        ROOT / "scripts" / f"{script}.py", ROOT, [ROOT / "requirements.txt"]
    )


def threads_of(wildcards):
    """The experiment's threads for a job that computes with a network."""
    return experiment_of(wildcards)["threads"]
