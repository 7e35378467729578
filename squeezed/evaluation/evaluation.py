"""Table I for one variant but for its times: what it predicts and weighs. Loads no torch."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from squeezed.data import Split
from squeezed.evaluation.predictions import accuracy_metrics
from squeezed.foundation.progress import track
from squeezed.graphs.engine import Engine
from squeezed.graphs.integer_weights import prepare_weights
from squeezed.graphs.layers import Layer, list_layers, totals
from squeezed.graphs.peak_memory import peak_memory_bytes
from squeezed.graphs.sizes import gzipped_bytes, size_bytes

MIB = 2**20


@dataclass(frozen=True)
class Files:
    """The files of a variant and of the baseline that it is compared with."""

    model: Path
    """`.safetensors`."""
    onnx: Path
    baseline_onnx: Path
    """The same as `onnx` where the variant is the baseline."""


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    metrics: dict[str, Any]
    """Exact figures."""
    measured: dict[str, Any]
    """Memory, and which form of the weights this processor ran."""
    layers: list[Layer]
    logits: NDArray[np.float32]
    baseline_predictions: NDArray[np.int64]


def evaluate(files: Files, split: Split, *, batch_size: int, threads: int) -> Evaluation:
    """Run a variant and the baseline on all images of `split`.

    Args:
        files: the exported variant and baseline.
        split: the test images.
        batch_size: of every call.
        threads: of ONNX Runtime.

    Raises:
        UserError: if a file cannot be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = prepare_weights(files.onnx, Path(folder))
        logits = _logits(path, threads, split, batch_size, "test images")
        other = logits
        if files.onnx != files.baseline_onnx:
            other = _logits(files.baseline_onnx, threads, split, batch_size, "baseline")
        height, width = split.images(np.arange(1)).shape[2:]
        memory = peak_memory_bytes(
            path, threads=threads, batch_size=batch_size, image_size=(height, width)
        )
        measured = {
            "peak_memory_mib": None if memory is None else round(memory / MIB, 1),
            "int8_weights": path != files.onnx,
        }
    layers = list_layers(onnx.load(files.onnx))
    metrics = {
        **accuracy_metrics(split.labels, logits.argmax(axis=1), other.argmax(axis=1)),
        "model_size_bytes": size_bytes(files.model),
        "model_gzipped_bytes": gzipped_bytes(files.model),
        "onnx_size_bytes": size_bytes(files.onnx),
        "onnx_gzipped_bytes": gzipped_bytes(files.onnx),
        **totals(layers),
        "batch_size": batch_size,
    }
    return Evaluation(metrics, measured, layers, logits, other.argmax(axis=1))


def _logits(
    path: Path, threads: int, split: Split, batch_size: int, name: str
) -> NDArray[np.float32]:
    batches = track(split.batches(batch_size), name, total=-(-len(split) // batch_size))
    return Engine(path, threads).logits_of(images for images, _ in batches)
