"""Table I's times: the graphs of a seed, in each engine, timed side by side. Loads no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squeezed.data import Split
from squeezed.graphs.engines import CannotRun, engines_of, open_engine
from squeezed.graphs.timing import (
    Run,
    Times,
    image_pool,
    latency_side_by_side,
    time_side_by_side,
)

Figures = dict[str, float | None]


def time_inference(
    graphs: Mapping[str, Path],
    split: Split,
    *,
    baseline: str,
    engines: Sequence[str] = ("onnxruntime",),
    batch_size: int,
    repeats: int,
    timed_images: int,
    latency_runs: int,
    threads: int,
) -> dict[str, Figures]:
    """Time the variants taking turns, so that a noisy machine slows all of them alike.

    Args:
        graphs: the files by variant, as they are deployed.
        split: the test images, cycled through where there are fewer than `timed_images`.
        baseline: the variant that the others are compared with.
        engines: those to time each with.
        batch_size: of every call but those for latency.
        repeats: passes that are timed, after warm-up.
        timed_images: images of a pass; the times are scaled to 10,000.
        latency_runs: calls with a single image.
        threads: of each engine.

    Returns:
        For each variant seconds for 10,000 images, the speed-up over the baseline in the same
        engine (both with the least and greatest of the repeats) and the latency of one image in ms,
        of the first engine. Of each further one the same, its name in front, and `…_over_…`, how
        many times as fast as the first engine it is; None where it cannot run the file.

    Raises:
        UserError: if the first engine cannot run a file, or an engine is not installed.
    """
    runs: dict[tuple[str, str], Run] = {}
    for variant, path in graphs.items():
        for index, engine in enumerate(engines_of(path, engines)):
            try:
                runs[variant, engine] = open_engine(path, threads, engine).predict
            except CannotRun:
                if index == 0:
                    raise
    pool = image_pool(lambda k: split.images(np.arange(k)), len(split))
    # Names, for the times are kept by name.
    named = {f"{variant}/{engine}": run for (variant, engine), run in runs.items()}
    times = time_side_by_side(
        named, pool, batch_size=batch_size, repeats=repeats, timed_images=timed_images
    )
    latencies = latency_side_by_side(named, pool, count=latency_runs)
    figures: dict[str, Figures] = {}
    for variant, path in graphs.items():
        first, *others = engines_of(path, engines)
        own = f"{variant}/{first}"
        reference = times[f"{baseline}/{engines_of(graphs[baseline], engines)[0]}"]
        figures[variant] = _figures(times[own], reference, latencies[own])
        for engine in others:
            key = f"{variant}/{engine}"
            if key not in times:
                figures[variant] |= dict.fromkeys(f"{engine}_{name}" for name in _NAMES)
                figures[variant][f"{engine}_over_{first}"] = None
                continue
            same = times.get(f"{baseline}/{engine}", reference)
            found = _figures(times[key], same, latencies[key])
            figures[variant] |= {f"{engine}_{name}": value for name, value in found.items()}
            ratio = float(np.median(times[own].seconds / times[key].seconds))
            figures[variant][f"{engine}_over_{first}"] = round(ratio, 4)
    return figures


_NAMES = (
    "time_10000_s",
    "time_10000_s_min",
    "time_10000_s_max",
    "speedup",
    "speedup_min",
    "speedup_max",
    "latency_p50_ms",
    "latency_p95_ms",
)


def _figures(own: Times, baseline: Times, latencies: NDArray[np.float64]) -> Figures:
    speedups = baseline.seconds / own.seconds
    p50, p95 = np.quantile(latencies, [0.5, 0.95]) * 1000
    values = (
        own.median,
        own.seconds.min(),
        own.seconds.max(),
        np.median(speedups),
        speedups.min(),
        speedups.max(),
        p50,
        p95,
    )
    return {name: round(float(value), 4) for name, value in zip(_NAMES, values, strict=True)}
