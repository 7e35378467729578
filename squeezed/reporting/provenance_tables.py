"""Where the figures come from: machine, versions, commits, and the duration of each job."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from squeezed.reporting.experiment import Experiment


@dataclass(frozen=True)
class Origin:
    """What the jobs of a report have in common, and each job's duration."""

    machines: list[str]
    versions: dict[str, str]
    """Of each library; several, joined by `/`, where jobs differ."""
    commits: list[str]
    devices: list[str]
    mixed_times: list[str]
    """A sentence for each table whose times do not compare: measured on several kinds of device."""
    jobs: pd.DataFrame
    """experiment, seed, variant (`all` for a job that times them), job, duration_s,
    peak_memory_mib, threads, commit."""

    @property
    def total_s(self) -> float:
        """The durations of all jobs together."""
        return float(self.jobs["duration_s"].sum()) if len(self.jobs) else 0.0


def trace(experiments: Iterable[Experiment]) -> Origin:
    """Collect the provenance of every result."""
    rows: dict[tuple[str, int, str, str], dict[str, Any]] = {}
    machines: dict[str, None] = {}
    versions: dict[str, dict[str, None]] = {}
    devices: dict[str, None] = {}
    timed_on: dict[tuple[str, str], dict[str, None]] = {}
    for experiment in experiments:
        for (seed, variant, analysis), record in experiment.records.items():
            origin = record.get("provenance") or {}
            machines |= dict.fromkeys(filter(None, [_machine_in_words(origin.get("machine"))]))
            for name, version in (origin.get("versions") or {}).items():
                versions.setdefault(name, {})[version] = None
            device = origin.get("device")
            devices |= dict.fromkeys([str(device)] if device else [])
            if record.get("measured"):
                processor = (origin.get("machine") or {}).get("processor", "unknown")
                where = f"{device}, processor {processor}"
                timed_on.setdefault((experiment.name, analysis), {})[where] = None
            # One job times all variants of a seed.
            whose = "all" if analysis in experiment.timings else variant
            rows[experiment.name, seed, whose, analysis] = {
                "experiment": experiment.name,
                "seed": seed,
                "variant": whose,
                "job": analysis,
                "duration_s": origin.get("duration_s"),
                "peak_memory_mib": origin.get("peak_memory_mib"),
                "threads": origin.get("threads"),
                "commit": origin.get("commit"),
            }
    jobs = pd.DataFrame(rows.values())
    commits = [c for c in dict.fromkeys(jobs["commit"]) if c] if len(jobs) else []
    return Origin(
        machines=list(machines),
        versions={name: " / ".join(found) for name, found in sorted(versions.items())},
        commits=commits,
        devices=list(devices),
        mixed_times=[
            f"Do not compare the times of {name}'s {analysis}: they were measured on "
            f"{len(places)} kinds of device ({'; '.join(places)})."
            for (name, analysis), places in timed_on.items()
            if len(places) > 1
        ],
        jobs=jobs,
    )


def _machine_in_words(machine: dict[str, Any] | None) -> str:
    if not machine:
        return ""
    return (
        f"{machine.get('processor', 'unknown processor')}, {machine.get('cores', '?')} cores, "
        f"{machine.get('memory_gib', '?')} GiB, {machine.get('system', 'unknown system')}"
    )
