"""Does taking out half of a network's channels pay: what it costs, and how much faster it is.

    python benchmarks/removal.py
    python benchmarks/removal.py --images cifar10.zip --weights vgg6.safetensors --seeds 1

By default of VGG-6 on the digits; with other images or weights, of those.

The workflow itself makes a baseline and `slim` (half the channels of each layer removed, recovered
with the parent as its teacher) from each seed, in a clone of the committed tree, and times the two
deployed files side by side in ONNX Runtime, ten images at a time. `--weights` take a network as it
is instead of training one.

VGG-6 on 2026-11-27, two cores of a Xeon with AVX-512 that other work shared (both files in turn):
the digits, five seeds: 99.1 % before and after (0.0 points, -0.3 to 0.6), 0.25 times the file, 2.6
times as fast (2.3 to 2.9). 60,000 CIFAR-10 images as JPEG, trained weights, recovered for 8 epochs
in batches of 256: 82.7 to 81.6 % (1.06 points), 2.3 times as fast.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
NAME = "removal"
VARIANTS = ("baseline", "slim")


def configuration(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what to add to config.yaml: one experiment of two variants."""
    training = {
        "batch_size": arguments.batch_size,
        "learning_rate": 0.05,
        "augmentation": {"crop_padding": 2},
    }
    architecture: dict[str, Any] = {"name": arguments.architecture}
    if arguments.weights:
        architecture["weights"] = str(arguments.weights.resolve())
    variants = {
        "slim": {
            "step": "prune",
            "amount": arguments.amount,
            "granularity": "filter",
            "remove": True,
            "teacher_weight": 0.5,
            "recovery": {**training, "epochs": arguments.recovery_epochs},
        }
    }
    defaults = ("pruned", "quantized", "linear_quantized", "pruned_quantized", "ablated")
    experiment: dict[str, Any] = {
        "dataset": NAME if arguments.images else "digits",
        "architecture": architecture,
        "device": "cpu",
        "seeds": list(range(arguments.seeds)),
        "variants": {**variants, **dict.fromkeys(defaults)},
        "evaluation": {"batch_size": 10, "repeats": 9},
    }
    if not arguments.weights:
        experiment["training"] = {**training, "epochs": arguments.epochs}
    added: dict[str, Any] = {"run": [NAME], "experiments": {NAME: experiment}}
    if arguments.images:
        source = {"kind": "folder", "path": str(arguments.images.resolve())}
        added["datasets"] = {NAME: {"source": source}}
    return added


def run(folder: Path, arguments: argparse.Namespace) -> list[dict[str, float]]:
    """Make, evaluate and time both variants of each seed in `folder`, and return a row for each.

    Raises:
        subprocess.CalledProcessError: if the workflow fails.
    """
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    written = folder / "removal.yaml"
    written.write_text(yaml.safe_dump(configuration(arguments)), encoding="utf-8")
    results = Path("results") / NAME
    timings = [results / f"seed{seed}/inference_timing.json" for seed in range(arguments.seeds)]
    evaluations = [timing.parent / v / "evaluation.json" for timing in timings for v in VARIANTS]
    command = [Path(sys.executable).parent / "snakemake", "--cores", "all"]
    command += ["--configfile", written, "--quiet", "host", "rules", "--", *timings, *evaluations]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return [_row(folder / timing) for timing in timings]


def _row(timing: Path) -> dict[str, float]:
    times = json.loads(timing.read_text(encoding="utf-8"))["measured"]["variants"]
    results = {
        name: json.loads((timing.parent / name / "evaluation.json").read_text(encoding="utf-8"))
        for name in VARIANTS
    }
    base, slim = (results[name] for name in VARIANTS)
    return {
        "baseline_accuracy": base["top1_accuracy"],
        "slim_accuracy": slim["top1_accuracy"],
        "points_lost": 100 * (base["top1_accuracy"] - slim["top1_accuracy"]),
        "size": slim["onnx_size_bytes"] / base["onnx_size_bytes"],
        "speedup": times["slim"]["speedup"],
    }


def main() -> None:
    """Run, print the table, and the means over the seeds as JSON in the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architecture", default="vgg6")
    parser.add_argument("--amount", type=float, default=0.5, help="share of the channels")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8, help="of the baseline's training")
    parser.add_argument("--recovery-epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=64, help="of training and of recovery")
    parser.add_argument("--images", type=Path, help="a folder or archive of class folders")
    parser.add_argument("--weights", type=Path, help="of the baseline, which is then not trained")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = run(Path(scratch) / "run", arguments)
    print("| seed | " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * (1 + len(rows[0])))
    for seed, row in enumerate(rows):
        print(f"| {seed} | " + " | ".join(f"{value:.4g}" for value in row.values()) + " |")
    means = {f"mean_{key}": statistics.mean(row[key] for row in rows) for key in rows[0]}
    print(json.dumps({"amount": arguments.amount, "seeds": arguments.seeds, **means}))


if __name__ == "__main__":
    main()
