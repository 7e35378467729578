"""Many comparisons at once: p-values that hold for a whole family."""

import numpy as np
from numpy.typing import NDArray


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
