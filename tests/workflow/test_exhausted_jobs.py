"""Jobs that run out of memory or of disk say so in one sentence, and the next run goes on."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from squeezed.data import open_dataset
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.graphs.export import describe, export_network
from squeezed.graphs.graph_file import write_graph
from squeezed.networks import create_classifier
from squeezed.steps.train import card_of
from tests import PROJECT
from tests.configuration.test_recipes import experiment
from tests.report.made_up import paper_like

pytestmark = pytest.mark.matrix

SIZE = (64, 64)
ARCHITECTURE = {
    "name": "vgg6",
    "arguments": {"widths": [64, 4, 4, 4, 8, 8], "hidden_features": [16, 16]},
    "weights": None,
}
# Loads a script with all that it imports, and only then sets the limit; that of memory is of what
# it takes on top.
LIMITED = """
import pathlib, resource, runpy, sys
script, what, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
main = runpy.run_path(script, run_name="limited")["main"]
sys.argv = sys.argv[3:]
if what == "RLIMIT_AS":
    import torch
    torch.nn.functional.conv2d(torch.zeros(4, 3, 64, 64), torch.zeros(8, 3, 3, 3))  # starts threads
    status = pathlib.Path("/proc/self/status").read_text()
    most += 1024 * int(status.partition("VmSize:")[2].split()[0])
resource.setrlimit(getattr(resource, what), (most, most))
main()
"""
DISK = ("RLIMIT_FSIZE", 3_000, "the disk is full")
MEMORY = ("RLIMIT_AS", 2**26, "the memory is used up")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A data set, a graph, and results."""
    folder = tmp_path_factory.mktemp("inputs")
    generator = np.random.default_rng(0)
    counts = {"train": 256, "validation": 8, "test": 128}
    splits = {
        name: (generator.integers(0, 256, (n, 3, *SIZE)).astype(np.uint8), np.arange(n) % 2)
        for name, n in counts.items()
    }
    path = folder / "set.safetensors"
    write_tensor_dataset(path, name="noise", class_names=["a", "b"], splits=splits, source={})
    dataset = open_dataset(path)
    model = create_classifier(ARCHITECTURE, dataset, seed=0)
    card = card_of(ARCHITECTURE, dataset, 0)
    graph = export_network(model, SIZE)
    write_graph(folder / "graph.onnx", graph, describe(card, dataset))
    paper_like().write(folder / "results", "digits")
    return folder


def training(inputs, output):
    section = experiment(
        architecture=ARCHITECTURE, training={"epochs": 1, "batch_size": 256}, device="cpu"
    )
    settings = {
        "variant": "baseline",
        "recipe": section["variants"]["baseline"],
        "architecture": ARCHITECTURE,
        "device": "cpu",
        "threads": 1,
    }
    yield from ("make_network", "--dataset", inputs / "set.safetensors", "--seed", "0")
    yield from ("--network", output / "network.safetensors", "--history", output / "history.csv")
    yield from ("--result", output / "training.json", "--settings", json.dumps(settings))


def attack(inputs, output):
    attacks = {"paper": {"images": 128, "batch_size": 128, "iterations": 1}}
    chosen = experiment(architecture=ARCHITECTURE, attacks=attacks)["attacks"]["paper"]
    del chosen["variants"]
    settings = {"attack": chosen, "device": "cpu", "threads": 1}
    yield from ("attack", "--dataset", inputs / "set.safetensors", "--graph", inputs / "graph.onnx")
    for name in ("images.csv", "curve.csv", "tensors.safetensors"):
        yield from (f"--{name.partition('.')[0]}", output / name)
    yield from ("--result", output / "attack.json", "--settings", json.dumps(settings))


def report(inputs, output):
    yield from ("compile_report", "--results", inputs / "results", "--output", output)


def run(job, inputs, output, limit=()):
    script, *arguments = job(inputs, output)
    path = PROJECT / "scripts" / f"{script}.py"
    limited = ["-c", LIMITED, path, *limit] if limit else [path]
    done = subprocess.run(
        [sys.executable, *map(str, [*limited, *arguments])],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("job", "limit"),
    [(training, DISK), (training, MEMORY), (attack, DISK), (attack, MEMORY), (report, DISK)],
    ids=lambda value: value.__name__ if callable(value) else value[2],
)
def test_what_ran_out_is_said_and_the_next_run_goes_on(inputs, tmp_path, job, limit):
    *limit, sentence = limit
    code, said = run(job, inputs, tmp_path / "made", limit)
    assert code == 1, said[-2000:]
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: ")
    assert sentence in said.splitlines()[-1]
    code, said = run(job, inputs, tmp_path / "made")
    assert code == 0, said[-2000:]
