# What a job asks of a cluster: memory, time, GPUs and processes. None of it may change a result.
import math

from squeezed.foundation.gpu_presence import MACHINE_VARIABLE, runs_on_gpu

# Decided here, once for each experiment: `auto` must not depend on the node that a job comes to.
ON_GPU = {
    name: runs_on_gpu(
        experiment["device"], Path("results", name).glob("seed*/baseline/training.json")
    )
    for name, experiment in config["experiments"].items()
}
if MACHINE_VARIABLE in os.environ:

    # So that executors which start jobs in a new environment hand it on.
    envvars:
        MACHINE_VARIABLE,


def memory_mb(base, training=None):
    """Memory of a job that takes `base` MB where the experiment's memory factor is 1.

    More on each attempt: what was killed for lack of it gets as much again.
    """

    def megabytes(wildcards, attempt):
        factor = max(
            section["resources"]["memory_factor"]
            for section in experiments_of(wildcards)
        )
        return math.ceil(base * factor * attempt) * processes_of(wildcards, training)

    return megabytes


def minutes(base):
    """Time limit of a job: `base` minutes where the experiment's time factor is 1."""

    def limit(wildcards, attempt):
        factor = max(
            section["resources"]["time_factor"] for section in experiments_of(wildcards)
        )
        return math.ceil(base * factor * attempt)

    return limit


def gpus(wildcards):
    """GPUs of a job that computes with a network: one, or none."""
    return int(ON_GPU[wildcards.experiment])


def training_gpus(training):
    """GPUs of a job that trains: one for each process, or none."""
    return lambda wildcards: gpus(wildcards) * processes_of(wildcards, training)


def training_threads(training):
    """Threads of a job that trains, all its processes together."""
    return lambda wildcards: threads_of(wildcards) * processes_of(wildcards, training)


def processes_of(wildcards, training):
    """Processes that a job trains with.

    `training` is the path of its section in the experiment's, as in "pruning.recovery"; None for a
    job that does not train.
    """
    if training is None:
        return 1
    section = experiment_of(wildcards)
    for key in training.split("."):
        section = section[key]
    return section["processes"]


def experiments_of(wildcards):
    """The sections of the experiments that a job is for: one, all of a data set, or all of a run."""
    names = config["run"]
    if "experiment" in wildcards.keys():
        names = [wildcards.experiment]
    elif "dataset" in wildcards.keys():
        sections = config["experiments"].items()
        names = [
            name for name, each in sections if each["dataset"] == wildcards.dataset
        ]
    return [config["experiments"][name] for name in names] or [
        {"resources": {"memory_factor": 1, "time_factor": 1}}
    ]


def all_cores(wildcards):
    """Threads of a job that measures time and so runs alone: all of this machine's.

    On a cluster the experiment's, for there the profile gives such a job a node of its own.
    """
    if workflow.non_local_exec or workflow.remote_exec:
        return threads_of(wildcards)
    return workflow.cores
