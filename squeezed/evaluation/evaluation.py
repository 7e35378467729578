"""Table I for one graph but for its times: what it predicts and weighs. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from squeezed.data import Split
from squeezed.evaluation.engine_matrix import engine_metrics, run_engine
from squeezed.evaluation.predictions import accuracy_metrics
from squeezed.foundation.progress import track
from squeezed.graphs.engines import CannotRun, Engine, engines_of, open_engine
from squeezed.graphs.foreign.kept import kept
from squeezed.graphs.foreign.tflite_core import TfliteCore
from squeezed.graphs.graph_file import read_graph
from squeezed.graphs.layers import Layer, list_layers, totals
from squeezed.graphs.peak_memory import peak_memory_bytes
from squeezed.graphs.sizes import gzipped_bytes, size_bytes
from squeezed.graphs.tflite.layers import tflite_layers

MIB = 2**20


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    metrics: dict[str, Any]
    """Exact figures."""
    measured: dict[str, Any]
    """Memory, and how this processor multiplied 8-bit integers."""
    layers: list[Layer]
    logits: NDArray[np.float32]
    """Of the first engine."""
    baseline_predictions: NDArray[np.int64]
    held_out_logits: NDArray[np.float32] | None
    """Of the validation images, where there are any."""


def evaluate(
    graph: Path,
    baseline: Path,
    split: Split,
    *,
    batch_size: int,
    threads: int,
    engines: Sequence[str] = ("onnxruntime",),
    held_out: Split | None = None,
) -> Evaluation:
    """Run a graph and the baseline's on all images of `split`, and the graph on `held_out`.

    Args:
        graph: the file, as it is deployed.
        baseline: the graph that it is compared with; the same file where it is the baseline.
        split: the test images.
        batch_size: of every call.
        threads: of each engine.
        engines: those to run it with; it is judged by the first one.
        held_out: the validation images, for what is fitted to the logits; None without any.

    Raises:
        UserError: if a file cannot be run by the first engine, or an engine is not installed.
    """

    def predict(engine: Engine, split: Split = split) -> NDArray[np.float32]:
        batches = track(split.batches(batch_size), engine.name, total=-(-len(split) // batch_size))
        return engine.predict_batches(images for images, _ in batches)

    names = engines_of(graph, engines)
    results = [run_engine(name, graph, threads, predict) for name in names]
    if results[0].logits is None:
        raise CannotRun(str(results[0].problem))
    logits = results[0].logits
    predictions = logits.argmax(axis=1)
    other = predictions
    if graph != baseline:
        (name, *_) = engines_of(baseline, engines)
        other = predict(open_engine(baseline, threads, name)).argmax(axis=1)
    held_out_logits = None
    if held_out is not None and len(held_out):
        held_out_logits = predict(open_engine(graph, threads, names[0]), held_out)
    layers: list[Layer] = []
    if graph.suffix == ".onnx":
        layers = _layers(read_graph(graph), results[0].executed)
    stored = {
        layer.layer: layer.stored for layer in layers if layer.layer in results[0].executed
    } or results[0].executed
    measured: dict[str, Any] = {}
    for index, result in enumerate(results):
        prefix = f"{result.engine}_" if index else ""
        memory = None
        if result.logits is not None:
            memory = peak_memory_bytes(
                graph,
                threads=threads,
                batch_size=batch_size,
                image_shape=split.images(np.arange(1)).shape[1:],
                engine=result.engine,
            )
        measured[f"{prefix}peak_memory_mib"] = None if memory is None else round(memory / MIB, 1)
        measured[f"{prefix}integer_path"] = result.integer_path
    metrics = {
        **accuracy_metrics(split.labels, predictions, other),
        "onnx_size_bytes": size_bytes(graph),
        "onnx_gzipped_bytes": gzipped_bytes(graph),
        **totals(layers),
        **engine_metrics(results, stored, split.labels),
        "batch_size": batch_size,
    }
    return Evaluation(metrics, measured, layers, logits, other, held_out_logits)


def _layers(model: onnx.ModelProto, executed: Mapping[str, str]) -> list[Layer]:
    """Return a graph's layers: those of the TFLite file where one was brought."""
    brought = kept(model)
    if brought is None or not isinstance(brought.core, TfliteCore):
        return list_layers(model, executed)
    return [
        replace(each.layer, executed=executed.get(each.layer.layer, ""))
        for each in tflite_layers(brought.core.content)
    ]
