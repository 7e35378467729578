"""Tiny graphs and data sets, and the scripts as Snakemake starts them. Needs no torch."""

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.graphs.graph_file import GraphCard, write_graph
from tests import PROJECT

CLASSES = ["lying", "standing", "plain"]
SIDE = 16


def run(script: str, **arguments: Any) -> None:
    """Run a script in this process, with the arguments that its rule gives it."""
    argv = [f"{script}.py"]
    for name, value in arguments.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        argv += [f"--{name.replace('_', '-')}", *map(str, values)]
    before, sys.argv = sys.argv, argv
    try:
        runpy.run_path(str(PROJECT / "scripts" / f"{script}.py"), run_name="__main__")
    finally:
        sys.argv = before


def pictures(n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return noisy pictures of bars that lie or stand, or of nothing, and their labels."""
    labels = np.arange(n) % len(CLASSES)
    images = np.random.default_rng(seed).integers(0, 120, (n, 3, SIDE, SIDE), dtype=np.uint8)
    images[labels == 0, :, 2:6, :] += 100
    images[labels == 1, :, :, 9:13] += 100
    return images, labels


def write_pictures(path: Path, n: int = 60) -> Path:
    """Write a data set of them."""
    splits = {
        name: pictures(of_split, seed)
        for seed, (name, of_split) in enumerate({"train": 12, "validation": 30, "test": n}.items())
    }
    write_tensor_dataset(path, name="bars", class_names=CLASSES, splits=splits, source={})
    return path


def write_linear(path: Path, seed: int = 0, sharpness: float = 1.0) -> Path:
    """Write a graph that tells the pictures apart: templates, with some noise on them."""
    images, labels = pictures(300, seed + 10)
    means = np.stack([images[labels == k].mean(axis=0) for k in range(len(CLASSES))]) / 255
    weights = (means - means.mean(axis=0)).reshape(len(CLASSES), -1) / 4
    bias = -(weights * means.reshape(len(CLASSES), -1)).sum(axis=1) / 2
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)])],
        [
            numpy_helper.from_array((sharpness * weights).astype(np.float32), "weights"),
            numpy_helper.from_array((sharpness * bias).astype(np.float32), "bias"),
        ],
    )
    card = GraphCard(CLASSES, (SIDE, SIDE), [0.3] * 3, [0.3] * 3, "linear", path.stem, seed)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    write_graph(path, model, card)
    return path
