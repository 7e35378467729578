"""Intervals of times: from repeats that took turns, so that a noisy machine slowed all alike."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

FEWEST_REPEATS = 5
"""With fewer repeats there is no interval: a range of three repeats is none."""


def typical_time_interval(
    seconds: NDArray[np.floating], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return the interval of the typical (geometric mean) time of a pass.

    Student's t on the logarithms, since a disturbance multiplies a time and never shortens it.

    Args:
        seconds: shape (repeats,), each above 0.
        confidence: of the interval.

    Returns:
        Both ends, or None with fewer than `FEWEST_REPEATS` repeats.
    """
    logarithms = np.log(np.asarray(seconds, dtype=np.float64))
    n = len(logarithms)
    if n < FEWEST_REPEATS:
        return None
    error = logarithms.std(ddof=1) / n**0.5
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * error
    centre = logarithms.mean()
    return float(np.exp(centre - half)), float(np.exp(centre + half))


def speedup_interval(
    seconds: NDArray[np.floating], reference: NDArray[np.floating], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return the interval of how many times faster than a reference, from interleaved repeats.

    Args:
        seconds: shape (repeats,).
        reference: of what was timed in turn with it, repeat by repeat, the same shape.
        confidence: of the interval.

    Returns:
        Both ends, or None with fewer than `FEWEST_REPEATS` pairs.

    Raises:
        ValueError: if the repeats are not paired.
    """
    seconds, reference = np.asarray(seconds), np.asarray(reference)
    if seconds.shape != reference.shape:
        raise ValueError(f"{len(seconds)} repeats cannot be paired with {len(reference)}")
    return typical_time_interval(reference / seconds, confidence)
