"""Where the time of a whole run goes, split by kind of job: the digits, own images, a foreign pair.

    python benchmarks/end_to_end.py digits own --output end_to_end.md

A clone of the committed tree runs from nothing, in a folder of its own; or `--folder` names one in
which a run has finished. `digits` is the default run. `own` is 200 images of 32 pixels in class
folders (handwritten digits), ResNet-18 and the default variants at the effort `standard`; behind it
stands the pair, its float and its 8-bit graph as files of others, compared on 160 of the images.

Seconds and memory are from Snakemake's benchmark record of each job; what no job accounts for is
planning, starting and waiting. `CPU s` is the time that a job's processes computed, as Snakemake
saw it last: where `s` is much larger, the machine was shared with other work.

The digits on 2026-11-28, two cores of a Xeon with AMX, five runs: 2:51, 2:57, 2:57, 2:59 and 3:13
in 72 jobs; version 0.1.0 on the same machine, in turn: 3:57 and 4:08, in 59 jobs with fewer
analyses. Of 286 s in jobs diagnostics take 63, attacks 52, t-SNE 28, networks 23, activation maps
19, corruptions 17; alone on the machine are the timings, 22, a network, 13, the rehearsal, 9, and
the report, 5. What bounds it is the arithmetic of the attacks: a step of DDN on 24 images takes
18 ms on one core, of which 10 are convolutions at 100 GFLOP/s.
"""

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parent.parent
SUFFIX = ".benchmark.tsv"
OF_ATTACKS = "attack_"
"""Records are called by their rule, those of attacks by the attack and those of data by the set."""

RUNS = ("digits", "own")
PER_CLASS = 20


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


def clone(folder: Path) -> None:
    """Clone the committed tree into `folder`."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)


def own_images(folder: Path) -> None:
    """Write handwritten digits as somebody's class folders, and the configuration to run on them.

    Args:
        folder: a clone.
    """
    digits = load_digits()
    chosen = np.concatenate([np.flatnonzero(digits.target == k)[:PER_CLASS] for k in range(10)])
    for number, index in enumerate(chosen):
        part = "test" if number % 5 == 0 else "train"
        path = folder / "images" / part / str(digits.target[index]) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = (digits.images[index] * (255 / 16)).round().astype(np.uint8)
        Image.fromarray(grey).resize((32, 32), Image.Resampling.BILINEAR).save(path)
    source = {"kind": "folder", "path": str(folder / "images")}
    configuration = {
        "run": ["own"],
        "datasets": {"own": {"source": source, "resize": 32, "crop": 32}},
        "experiments": {"own": {"dataset": "own", "architecture": {"name": "resnet18"}}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")


def timed(command: Sequence[str | Path], folder: Path) -> float:
    """Run a command in a clone, and return the seconds that it took.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return time.perf_counter() - began


def compare_pair(folder: Path) -> float:
    """Compare two graphs of a clone's finished run on own images as files of others.

    Returns:
        The seconds that it took.
    """
    graphs = folder / "models" / "own" / "seed0"
    words = [sys.executable, folder / "scripts" / "compare.py"]
    words += ["--original", graphs / "baseline.onnx", "--compressed", graphs / "quantized.onnx"]
    return timed([*words, "--images", folder / "images" / "train"], folder)


def main() -> None:
    """Run, or read a run that has finished, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", metavar="|".join(RUNS), help="default: both")
    parser.add_argument("--folder", type=Path, help="of a run that has finished, to read instead")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, help="the tables to write (Markdown)")
    arguments = parser.parse_args()
    if unknown := set(arguments.runs) - set(RUNS):
        parser.error(f"there is no run {min(unknown)!r}: {' or '.join(RUNS)}")
    texts = [f"{platform.processor() or platform.machine()}, {time.strftime('%Y-%m-%d')}\n"]
    figures: dict[str, float] = {}
    if arguments.folder:
        texts.append(table(read_records(arguments.folder / "logs"), None, arguments.cores))
    for name in [] if arguments.folder else arguments.runs or RUNS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / name
            clone(folder)
            if name == "own":
                own_images(folder)
            snakemake = Path(sys.executable).parent / "snakemake"
            wall_s = figures[name] = timed([snakemake, "--cores", str(arguments.cores)], folder)
            records = read_records(folder / "logs")
            texts.append(f"## {name}\n\n{table(records, wall_s, arguments.cores)}")
            if name == "own":
                figures["pair"] = compare_pair(folder)
                texts.append(f"The pair: {figures['pair']:.1f} s.\n")
    text = "\n".join(texts)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    print(json.dumps({f"{name}_s": round(wall_s, 1) for name, wall_s in figures.items()}))


if __name__ == "__main__":
    main()
