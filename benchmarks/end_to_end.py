"""Where the time of a whole run goes: the default run, split by kind of job.

    python benchmarks/end_to_end.py --output end_to_end.md

A clone of the committed tree runs `snakemake` from nothing, in a folder of its own, or `--folder`
names one in which a run has finished. Seconds and memory are from Snakemake's benchmark record of
each job; what no job accounts for is planning, starting and waiting. `CPU s` is the time that a
job's processes computed: where `s` is much larger, the machine was shared with other work.

The digits on 2026-11-27, two cores of a Zen processor with AVX-512, each job a Python of its own:
5:36 and 560 CPU s in 72 jobs, of which diagnostics 90, attacks 81, their timing 45, t-SNE 40, maps
of where a network looks 40, training 33, export 28 and embeddings 27. 40 of the jobs loaded torch.

Since then jobs are forked (`rules.warm`). CPU seconds of single jobs of a tiny experiment as forks
and as Pythons of their own: embeddings 0.44 and 3.11, an attack 0.66 and 2.96, t-SNE 0.57 and 2.40,
an evaluation 0.38 and 0.78; the warm process itself takes 6, beside the first job. By that the run
computes some 150 s less. It has not been timed as a whole yet: the machine was not quiet.
"""

import argparse
import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIX = ".benchmark.tsv"
OF_ATTACKS = "attack_"
"""Records are called by their rule, those of attacks by the attack and those of data by the set."""


@dataclass(frozen=True)
class Record:
    """Snakemake's record of one job."""

    kind: str
    seconds: float
    processor_s: float
    memory_mb: float


def read_records(logs: Path) -> list[Record]:
    """Return the records of a run's jobs, by kind.

    Raises:
        ValueError: if there are none.
    """
    records = []
    for path in sorted(logs.rglob(f"*{SUFFIX}")):
        with path.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        records.append(
            Record(
                _kind(path.relative_to(logs)),
                float(row["s"]),
                _number(row["cpu_time"]),
                _number(row["max_pss"]),
            )
        )
    if not records:
        raise ValueError(f"{logs} holds no records of jobs: has a run finished there?")
    return records


def _number(text: str) -> float:
    # A job that ends within a few milliseconds has no record of these.
    return 0.0 if text in ("NA", "-") else float(text)


def _kind(path: Path) -> str:
    if path.parts[0] == "data":
        return "prepare_dataset"
    name = path.name.removesuffix(SUFFIX)
    return "attack" if name.startswith(OF_ATTACKS) else name


def table(records: list[Record], wall_s: float | None, cores: int) -> str:
    """Return the split as a table in Markdown, the kind that takes most first."""
    kinds = defaultdict(list)
    for record in records:
        kinds[record.kind].append(record)
    total = sum(record.seconds for record in records)
    lines = ["| kind | jobs | s | CPU s | share | MB at most |", "|---|---|---|---|---|---|"]
    for kind, some in sorted(kinds.items(), key=lambda item: -sum(r.seconds for r in item[1])):
        seconds = sum(record.seconds for record in some)
        processor = sum(record.processor_s for record in some)
        memory = max(record.memory_mb for record in some)
        lines.append(
            f"| {kind} | {len(some)} | {seconds:.1f} | {processor:.1f} | "
            f"{100 * seconds / total:.0f} % | {memory:.0f} |"
        )
    processor = sum(record.processor_s for record in records)
    lines.append(f"| all | {len(records)} | {total:.1f} | {processor:.1f} | 100 % | |")
    if wall_s is not None:
        idle = 1 - total / (wall_s * cores)
        lines += ["", f"The run: {wall_s:.1f} s on {cores} cores, {100 * idle:.0f} % of them idle."]
    return "\n".join(lines) + "\n"


def run_afresh(folder: Path, cores: int) -> float:
    """Clone the committed tree into `folder`, run it, and return the seconds that it took.

    Raises:
        subprocess.CalledProcessError: if the run fails.
    """
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    began = time.perf_counter()
    command = [Path(sys.executable).parent / "snakemake", "--cores", str(cores)]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Run, or read a run that has finished, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="of a run that has finished; left out: run now")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, help="the table to write (Markdown)")
    arguments = parser.parse_args()
    if arguments.folder:
        text = table(read_records(arguments.folder / "logs"), None, arguments.cores)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run"
            wall_s = run_afresh(folder, arguments.cores)
            text = table(read_records(folder / "logs"), wall_s, arguments.cores)
    text = f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}\n\n{text}"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
