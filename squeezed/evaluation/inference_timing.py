"""Table I's times: the deployed variants of a seed, timed side by side. Loads no torch."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.data import Split
from squeezed.graphs.engine import Engine
from squeezed.graphs.integer_weights import prepare_weights
from squeezed.graphs.timing import (
    Run,
    Times,
    image_pool,
    latency_side_by_side,
    time_side_by_side,
)


def time_inference(
    onnx_files: Mapping[str, Path],
    split: Split,
    *,
    batch_size: int,
    repeats: int,
    timed_images: int,
    latency_runs: int,
    threads: int,
) -> dict[str, dict[str, float]]:
    """Time the variants taking turns, so that a noisy machine slows all of them alike.

    Args:
        onnx_files: the exported variants by name, the baseline among them; no two files of the
            same name.
        split: the test images, cycled through where there are fewer than `timed_images`.
        batch_size: of every call but those for latency.
        repeats: passes that are timed, after warm-up.
        timed_images: images of a pass; the times are scaled to 10,000.
        latency_runs: calls with a single image.
        threads: of ONNX Runtime.

    Returns:
        For each variant seconds for 10,000 images, the speed-up over the baseline (both with the
        least and greatest of the repeats) and the latency of one image in ms.

    Raises:
        UserError: if a file cannot be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Run] = {
            variant: Engine(prepare_weights(path, Path(folder)), threads).logits
            for variant, path in onnx_files.items()
        }
        pool = image_pool(lambda k: split.images(np.arange(k)), len(split))
        times = time_side_by_side(
            runs, pool, batch_size=batch_size, repeats=repeats, timed_images=timed_images
        )
        latencies = latency_side_by_side(runs, pool, count=latency_runs)
    return {v: _figures(times[v], times["baseline"], latencies[v]) for v in onnx_files}


def _figures(own: Times, baseline: Times, latencies: NDArray[np.float64]) -> dict[str, float]:
    speedups = baseline.seconds / own.seconds
    p50, p95 = np.quantile(latencies, [0.5, 0.95]) * 1000
    figures: dict[str, Any] = {
        "time_10000_s": own.median,
        "time_10000_s_min": own.seconds.min(),
        "time_10000_s_max": own.seconds.max(),
        "speedup": np.median(speedups),
        "speedup_min": speedups.min(),
        "speedup_max": speedups.max(),
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
    }
    return {name: round(float(value), 4) for name, value in figures.items()}
