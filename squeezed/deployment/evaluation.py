"""Table I for one variant: what it predicts, weighs and costs. Loads no torch."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from squeezed.data import Split
from squeezed.deployment.engine import Engine
from squeezed.deployment.integer_weights import prepare_weights
from squeezed.deployment.layers import Layer, list_layers, totals
from squeezed.deployment.peak_memory import peak_memory_bytes
from squeezed.deployment.predictions import accuracy_metrics
from squeezed.deployment.sizes import gzipped_bytes, size_bytes
from squeezed.deployment.timing import (
    Run,
    image_pool,
    latency_side_by_side,
    time_side_by_side,
)
from squeezed.progress import track

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
    """Times and memory."""
    layers: list[Layer]
    logits: NDArray[np.float32]
    baseline_predictions: NDArray[np.int64]


def evaluate(
    files: Files,
    split: Split,
    *,
    batch_size: int,
    repeats: int,
    timed_images: int,
    latency_runs: int,
    threads: int,
) -> Evaluation:
    """Run a variant and the baseline on all images of `split`, then time them side by side.

    Args:
        files: the exported variant and baseline.
        split: the test images.
        batch_size: of every call but those for latency.
        repeats: passes that are timed, after warm-up.
        timed_images: images of a pass; the times are scaled to 10,000.
        latency_runs: calls with a single image.
        threads: of ONNX Runtime.

    Raises:
        UserError: if a file cannot be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = prepare_weights(files.onnx, Path(folder))
        engine = Engine(path, threads)
        is_baseline = files.onnx == files.baseline_onnx
        baseline = engine if is_baseline else Engine(files.baseline_onnx, threads)
        logits = _logits(engine, split, batch_size, "test images")
        other = logits if is_baseline else _logits(baseline, split, batch_size, "baseline")
        runs: dict[str, Run] = {"variant": engine.logits, "baseline": baseline.logits}
        if is_baseline:
            del runs["baseline"]
        pool = image_pool(lambda k: split.images(np.arange(k)), len(split))
        measured = _measure(runs, pool, batch_size, repeats, timed_images, latency_runs)
        height, width = pool.shape[2:]
        memory = peak_memory_bytes(
            path, threads=threads, batch_size=batch_size, image_size=(height, width)
        )
        measured["peak_memory_mib"] = None if memory is None else round(memory / MIB, 1)
        measured["int8_weights"] = path != files.onnx
    layers = list_layers(onnx.load(files.onnx))
    metrics = {
        **accuracy_metrics(split.labels, logits.argmax(axis=1), other.argmax(axis=1)),
        "model_size_bytes": size_bytes(files.model),
        "model_gzipped_bytes": gzipped_bytes(files.model),
        "onnx_size_bytes": size_bytes(files.onnx),
        "onnx_gzipped_bytes": gzipped_bytes(files.onnx),
        **totals(layers),
        "batch_size": batch_size,
        "timed_images": timed_images,
        "repeats": repeats,
    }
    return Evaluation(metrics, measured, layers, logits, other.argmax(axis=1))


def _logits(engine: Engine, split: Split, batch_size: int, name: str) -> NDArray[np.float32]:
    batches = track(split.batches(batch_size), name, total=-(-len(split) // batch_size))
    return engine.logits_of(images for images, _ in batches)


def _measure(
    runs: dict[str, Run],
    pool: NDArray[np.float32],
    batch_size: int,
    repeats: int,
    timed_images: int,
    latency_runs: int,
) -> dict[str, Any]:
    times = time_side_by_side(
        runs, pool, batch_size=batch_size, repeats=repeats, timed_images=timed_images
    )
    latencies = latency_side_by_side(runs, pool, count=latency_runs)
    own = times["variant"].seconds
    reference = times.get("baseline", times["variant"]).seconds
    speedups = reference / own
    p50, p95 = np.quantile(latencies["variant"], [0.5, 0.95]) * 1000
    other_p50, other_p95 = np.quantile(latencies.get("baseline", latencies["variant"]), [0.5, 0.95])
    figures = {
        "time_10000_s": np.median(own),
        "time_10000_s_min": own.min(),
        "time_10000_s_max": own.max(),
        "baseline_time_10000_s": np.median(reference),
        "speedup": np.median(speedups),
        "speedup_min": speedups.min(),
        "speedup_max": speedups.max(),
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "baseline_latency_p50_ms": other_p50 * 1000,
        "baseline_latency_p95_ms": other_p95 * 1000,
    }
    return {name: round(float(value), 4) for name, value in figures.items()}
