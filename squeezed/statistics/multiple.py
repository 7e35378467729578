"""P-values of many tests at once."""

import numpy as np
from numpy.typing import NDArray


def holm(p_values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return Holm's adjusted p-values (1979), in the order given.

    Rejecting those below a level keeps the chance of any false rejection below that level.

    Args:
        p_values: shape (n,), in [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return adjusted
