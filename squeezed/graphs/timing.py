"""Time deployed models side by side, so that a noisy machine slows all of them alike.

Loads no torch. The caller sees to it that nothing else of the workflow runs meanwhile.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.progress import track

Run = Callable[[NDArray[np.float32]], object]

PASS_IMAGES = 10_000
"""What the paper's times are for."""

POOL_BYTES = 256 * 2**20
"""How much memory the images may take that a timing cycles through."""


@dataclass(frozen=True)
class Times:
    """Seconds for 10,000 images, one value for each repeat, in the order they were taken."""

    seconds: NDArray[np.float64]

    @property
    def median(self) -> float:
        """The median repeat."""
        return float(np.median(self.seconds))


def image_pool(images_of: Callable[[int], NDArray[np.float32]], n: int) -> NDArray[np.float32]:
    """Return as many of `n` images as fit in `POOL_BYTES`, shape (k, 3, H, W).

    Args:
        images_of: returns the first k images.
        n: how many there are.
    """
    size = images_of(1).nbytes
    return images_of(min(n, max(1, POOL_BYTES // size)))


def time_side_by_side(
    runs: Mapping[str, Run],
    pool: NDArray[np.float32],
    *,
    batch_size: int,
    repeats: int,
    timed_images: int = PASS_IMAGES,
    slice_images: int = 1000,
) -> dict[str, Times]:
    """Time all of `runs` on the same images, taking turns.

    A repeat is a pass over `timed_images` images; within it, the runs take turns every
    `slice_images`, and which is first alternates. One slice each, untimed, warms up. A time is
    scaled to 10,000 images if `timed_images` is another number.

    Args:
        runs: what to time, by name; each takes a batch of shape (b, 3, H, W).
        pool: images to cycle through.
        batch_size: of every call (the last one of a slice can be smaller).
        repeats: passes, at least 1.
        timed_images: images of a pass.
        slice_images: images between two turns.
    """
    names = list(runs)
    slices = _slices(timed_images, slice_images)
    for name in names:
        _seconds_for(runs[name], pool, slices[0], 0, batch_size)
    totals = {name: np.zeros(repeats) for name in names}
    for repeat in track(range(repeats), "time"):
        for index, count in enumerate(slices):
            turn = names if (repeat + index) % 2 == 0 else names[::-1]
            for name in turn:
                start = index * slice_images
                totals[name][repeat] += _seconds_for(runs[name], pool, count, start, batch_size)
    scale = PASS_IMAGES / timed_images
    return {name: Times(total * scale) for name, total in totals.items()}


def latency_side_by_side(
    runs: Mapping[str, Run], pool: NDArray[np.float32], *, count: int, warm_up: int = 10
) -> dict[str, NDArray[np.float64]]:
    """Return the seconds of `count` calls with one image each, the runs taking turns."""
    names = list(runs)
    seconds = {name: np.zeros(count) for name in names}
    for index in range(-warm_up, count):
        turn = names if index % 2 == 0 else names[::-1]
        for name in turn:
            elapsed = _seconds_for(runs[name], pool, 1, index % len(pool), 1)
            if index >= 0:
                seconds[name][index] = elapsed
    return seconds


def _slices(total: int, size: int) -> Sequence[int]:
    return [min(size, total - start) for start in range(0, total, size)]


def _seconds_for(
    run: Run, pool: NDArray[np.float32], count: int, start: int, batch_size: int
) -> float:
    """Run `count` images of the pool from `start` on, cycling; only the runs are timed."""
    elapsed = 0.0
    for first in range(start, start + count, batch_size):
        size = min(batch_size, start + count - first)
        indices = np.arange(first, first + size) % len(pool)
        batch = pool[indices]
        begin = time.perf_counter()
        run(batch)
        elapsed += time.perf_counter() - begin
    return elapsed
