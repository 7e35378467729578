"""How long a run will take: by records of earlier jobs, else by what a rehearsal measured.

A job's time is that of its start and its imports, and its work (`rules.view.work`) at the speed of
the network on this machine. A record counts with the work that it was made for, so that another
effort is estimated from it, too. Where neither is there, nothing is said but that: how fast a
network is differs by a factor of thousands.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rules.view.jobs import roughly
from rules.view.schedule import Planned, makespan, peak_memory_mb
from rules.view.work import Work, work_of

TORCH_S, LIGHT_S = 0.7, 0.5
"""Seconds until a fork (`rules.warm`) has loaded what is left to load, on one core of a Zen
processor. On a cluster and in conda environments it is 2.5 more."""
LIGHT = ("evaluate", "meet_unfamiliar", "corrupt", "map_tsne", "time_inference", "make_graph")
FIXED_S = {"rehearse": 15.0, "export_graph": 10.0, "compile_report": 5.0}
MEMORY_MB = {"torch": 900.0, "light": 300.0}
WORK_FILE = Path("logs/work.json")
"""Which work each record was made for, by the benchmark's path."""


@dataclass(frozen=True)
class Record:
    """What Snakemake recorded of a job."""

    seconds: float
    memory_mb: float
    work: Work | None
    """What the job had to do; None where nobody wrote it down."""


@dataclass(frozen=True)
class Estimate:
    """Seconds and memory of a job, and what they are from."""

    seconds: float
    memory_mb: float
    source: str
    """`records`, `rehearsal`, or `unknown`, of which the seconds are the start alone."""


def estimate(
    rule: str,
    work: Work | None,
    pass_s: float | None,
    own: Record | None,
    others: Iterable[Record],
) -> Estimate:
    """Estimate one job.

    Args:
        rule: its name.
        work: what it is to do; None where the data are not prepared yet.
        pass_s: seconds of an image's pass, as a rehearsal measured them; None if none did.
        own: the record of this very job, made earlier.
        others: records of the same rule for other variants, seeds or attacks of the experiment.
    """
    records = [own] if own else list(others)
    if records:
        seconds = sum(_scaled(record, rule, work) for record in records) / len(records)
        return Estimate(seconds, max(r.memory_mb for r in records), "records")
    memory = MEMORY_MB["light" if rule in LIGHT else "torch"]
    if work is None or (work.passes and pass_s is None):
        return Estimate(start_of(rule), memory, "unknown")
    computed = start_of(rule) + work.passes * (pass_s or 0.0) + work.seconds
    return Estimate(computed, memory, "rehearsal")


def start_of(rule: str) -> float:
    """Return the seconds of a rule's job that has next to nothing to do."""
    return FIXED_S.get(rule, LIGHT_S if rule in LIGHT else TORCH_S)


def _scaled(record: Record, rule: str, work: Work | None) -> float:
    """Return what a record's job would take with other work."""
    start = min(start_of(rule), record.seconds)
    old = record.work
    if old is None or work is None:
        return record.seconds
    # Of the two kinds of work the one that there is more of tells how far the other scales.
    ratio = work.passes / old.passes if old.passes else None
    if ratio is None:
        ratio = work.seconds / old.seconds if old.seconds else 1.0
    return start + (record.seconds - start) * ratio


def read_record(path: Path, work: Work | None) -> Record | None:
    """Read a benchmark of Snakemake's; nothing where there is none, or an unfinished one."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        memory = row["max_pss"]  # forks of one process share pages
        return Record(float(row["s"]), float(memory) if memory not in ("NA", "-") else 0.0, work)
    except (OSError, StopIteration, KeyError, ValueError):
        return None


class Estimates:
    """The estimates of a run's jobs, by the path of their benchmark."""

    def __init__(self, workflow: Any, config: Mapping[str, Any]) -> None:
        """Look at nothing yet: the jobs are known later."""
        self.workflow = workflow
        self.config = config
        self.works: dict[str, Work] = {}
        self.seconds: dict[str, float] = {}
        self.total: float | None = None

    def seconds_of(self, benchmark: str) -> float | None:
        """Return how long a job is expected to take; None where nothing is known."""
        return self.seconds.get(benchmark)

    def plan(self) -> str | None:
        """Estimate all jobs that are left, now that they are known, and say it in a line."""
        jobs = list(self.workflow.dag.needrun_jobs())
        remembered = _remembered()
        planned, sources = {}, Counter[str]()
        for job in jobs:
            path = str(job.benchmark) if job.benchmark else ""
            found = Estimate(0.0, 0.0, "")
            if path:
                found = self._estimate(job, path, remembered)
                self.seconds[path] = found.seconds
                sources[found.source] += 1
            needs = frozenset(id(other) for other in self.workflow.dag.dependencies[job])
            planned[id(job)] = Planned(found.seconds, job.threads, found.memory_mb, needs)
        if not sources:
            return None
        cores = self.workflow.cores or 1
        if sources["unknown"]:
            return f"{len(jobs)} jobs; their time is unknown before a rehearsal (`make plan`)."
        self.total = makespan(planned, cores)
        words = {"records": "records of earlier runs", "rehearsal": "a rehearsal"}
        told = ", ".join(f"{n} by {words[source]}" for source, n in sources.most_common())
        return (
            f"{len(jobs)} jobs, {roughly(self.total)} on {cores} cores, up to "
            f"{peak_memory_mb(planned, cores) / 1024:.1f} GB of memory ({told})."
        )

    def finished(self, benchmark: str) -> None:
        """Write down which work a job's record is for."""
        if benchmark in self.works:
            remembered = {**_remembered(), benchmark: self.works[benchmark]}
            content = {path: [w.passes, w.seconds] for path, w in remembered.items()}
            WORK_FILE.parent.mkdir(exist_ok=True)
            temporary = WORK_FILE.with_suffix(".tmp")
            temporary.write_text(json.dumps(content, indent=0), encoding="utf-8")
            temporary.replace(WORK_FILE)

    def _estimate(self, job: Any, path: str, remembered: Mapping[str, Work]) -> Estimate:
        rule, wildcards = job.rule.name, dict(job.wildcards_dict)
        name = wildcards.get("experiment")
        experiment = self.config["experiments"].get(name)
        counts = _counts(experiment["dataset"]) if experiment else None
        work: Work | None = Work()
        if experiment and rule not in FIXED_S:
            work = work_of(rule, experiment, wildcards, counts) if counts else None
        if work is not None and counts:
            self.works[path] = work
        own = read_record(Path(path), remembered.get(path))
        siblings: list[Record] = []
        if own is None and name:
            pattern = str(job.rule.benchmark).replace("{experiment}", name)
            for key in ("seed", "variant", "attack"):
                pattern = pattern.replace(f"{{{key}}}", "*")
            found = (read_record(p, remembered.get(p.as_posix())) for p in Path().glob(pattern))
            siblings = [record for record in found if record]
        pass_s = _rehearsed(name) if name else None
        return estimate(rule, work, pass_s, own, siblings)


def _remembered() -> dict[str, Work]:
    try:
        content = json.loads(WORK_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {path: Work(*numbers) for path, numbers in content.items()}


def _counts(dataset: str) -> dict[str, float] | None:
    try:
        return json.loads(Path("data", f"{dataset}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _rehearsed(experiment: str) -> float | None:
    path = Path("results", experiment, "rehearsal.json")
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))["measured"]
        return float(measured["pass_ms_per_image"]) / 1000
    except (OSError, ValueError, KeyError, TypeError):
        return None
