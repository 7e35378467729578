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


def memory_mb(base):
    """Memory of a job that takes `base` MB where the experiment's memory factor is 1.

    More on each attempt: what was killed for lack of it gets as much again.
    """

    def megabytes(wildcards, attempt):
        factor = max(
            section["resources"]["memory_factor"]
            for section in experiments_of(wildcards)
        )
        return math.ceil(base * factor * attempt)

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


def training_memory_mb(base):
    """Memory of a job that trains, all its processes together."""
    of_one = memory_mb(base)
    return lambda wildcards, attempt: of_one(wildcards, attempt) * processes_of(
        wildcards
    )


def training_gpus(wildcards):
    """GPUs of a job that trains: one for each process, or none."""
    return gpus(wildcards) * processes_of(wildcards)


def training_threads(wildcards):
    """Threads of a job that trains, all its processes together."""
    return threads_of(wildcards) * processes_of(wildcards)


def processes_of(wildcards):
    """Processes that a job trains with, as its recipe says."""
    settings = recipe_of(wildcards).settings
    sections = [settings, *(v for v in settings.values() if isinstance(v, dict))]
    return next((s["processes"] for s in sections if "processes" in s), 1)


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


def lift_job_limit():
    """Lift Snakemake's limit of jobs per second, which is of no use on one machine, and costs.

    It wakes the scheduler once more each second for every job that has ended: in a run of 134 jobs
    that took as much computing as twenty of them.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
