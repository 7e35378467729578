"""Whether there is anything to score: features or maps that are the same all over order nothing."""

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-5
"""What differs by less than this share of the largest value differs by rounding (32 bits: 1e-7)."""


def has_spread(features: NDArray[np.floating]) -> bool:
    """Return whether any feature, shape (n, d), differs between the images."""
    columns = np.asarray(features)
    largest = np.abs(columns).max(axis=0)
    return bool((np.ptp(columns, axis=0) > ROUNDING * largest).any())


def flat_maps(maps: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which maps, shape (n, H, W), are the same all over, shape (n,)."""
    pixels = np.asarray(maps).reshape(len(maps), -1)
    flat: NDArray[np.bool_] = np.ptp(pixels, axis=1) <= ROUNDING * np.abs(pixels).max(axis=1)
    return flat
