"""Many comparisons at once: p-values that hold for a whole family."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""What is less likely by chance alone counts as found: the other side of a 95 % interval."""


def holm(p_values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return Holm's adjusted p-values (1979), in the given order.

    Whoever rejects what is at most α here errs anywhere in the family with a probability of α at
    most, whatever the comparisons have to do with each other.

    Args:
        p_values: shape (n,), in [0, 1].
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def bonferroni(p_values: Collection[float], among: int) -> float:
    """Return the p-value of there being anything in some of many comparisons.

    Args:
        p_values: of those that seem to show it, at least one.
        among: how many were looked at, whichever way they went.
    """
    return min(1.0, max(1, among) * min(p_values))
