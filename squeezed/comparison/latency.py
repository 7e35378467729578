"""How long each model takes for one image, its own file in its own engine, in turn."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from squeezed.graphs.foreign.core import Core
from squeezed.graphs.foreign.model import in_channels

ROUNDS = 15
SECONDS = 4.0
"""After so many no further round begins."""
WARM_UP = 2


def latencies_ms(cores: Sequence[Core], image: NDArray[np.float32]) -> list[float]:
    """Return the median time of each model for one image, in milliseconds.

    The models take turns, so that what else the machine does meets all of them alike.

    Args:
        cores: the models.
        image: shape (1, C, H, W), in [0, 1]; what the models make of it does not matter here.
    """
    seen = [in_channels(image, core.signature.channels) for core in cores]
    for core, each in zip(cores, seen, strict=True):
        for _ in range(WARM_UP):
            core.run(each)
    times: list[list[float]] = [[] for _ in cores]
    began = time.perf_counter()
    while len(times[0]) < ROUNDS and (not times[0] or time.perf_counter() - began < SECONDS):
        for core, each, own in zip(cores, seen, times, strict=True):
            start = time.perf_counter()
            core.run(each)
            own.append(1000 * (time.perf_counter() - start))
    return [float(np.median(own)) for own in times]
