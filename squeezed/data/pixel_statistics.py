"""Mean and spread of the pixels that networks see images by, and sets whose pixels say nothing."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from squeezed.data.dataset import Images
from squeezed.foundation.errors import UserError

Normalisation = tuple[list[float], list[float]]

CONSTANT = 0.001
"""A channel that varies by less (a quarter of one of 255 steps) is taken for constant."""

NEARLY_BLACK = 16
"""Where no pixel of 255 is brighter, as of 12 bits that were stored in 16."""


def of_counts(pixels: NDArray[np.uint8]) -> Normalisation:
    """Return mean and standard deviation of each channel, from how often each value occurs.

    The deviation of a constant channel, as of pictures that are green only, is given as 1: divided
    by it the channel is 0 everywhere, and not 0 / 0.

    Args:
        pixels: shape (n, 3, H, W).
    """
    mean, std = [], []
    values = np.arange(256) / 255
    for channel in range(pixels.shape[1]):
        counts = np.bincount(pixels[:, channel].ravel(), minlength=256)
        average = (counts * values).sum() / counts.sum()
        variance = (counts * (values - average) ** 2).sum() / counts.sum()
        mean.append(round(float(average), 6))
        std.append(_spread(float(np.sqrt(variance))))
    return mean, std


def of_batches(batches: Iterable[Images], name: str) -> Normalisation:
    """Return what `of_counts` does, of images that do not fit into memory.

    Args:
        batches: of shape (n, 3, H, W), in [0, 1].
        name: of the data set, for messages.

    Raises:
        UserError: if they are blank (see `refuse_blank`).
    """
    total, squares, pixels, brightest = np.zeros(3), np.zeros(3), 0, 0.0
    first, alike = None, True
    for images in batches:
        values = images.astype(np.float64)
        total += values.sum(axis=(0, 2, 3))
        squares += (values**2).sum(axis=(0, 2, 3))
        pixels += values.size // 3
        brightest = max(brightest, float(images.max()))
        first = images[:1] if first is None else first
        alike = alike and bool((images == first).all())
    _refuse(name, alike, brightest * 255)
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return [round(float(m), 6) for m in mean], [_spread(float(s)) for s in std]


def refuse_blank(name: str, pixels: NDArray[np.uint8]) -> None:
    """Refuse training images that are all the same, or all nearly black.

    Args:
        name: of the data set.
        pixels: shape (n, 3, H, W).

    Raises:
        UserError: if they are.
    """
    # Most sets differ in their first two images already.
    alike = bool((pixels[:2] == pixels[:1]).all()) and bool((pixels == pixels[:1]).all())
    _refuse(name, alike, int(pixels.max()))


def _refuse(name: str, alike: bool, brightest: float) -> None:
    if alike:
        raise UserError(
            f"the data set {name} cannot be learnt: all its training images are the same picture"
        )
    if brightest < NEARLY_BLACK:
        raise UserError(
            f"the data set {name} is nearly black: no pixel of its training images is brighter "
            f"than {brightest:.0f} of 255, as where 12 bits are stored in 16; brighten all by "
            "the same factor"
        )


def _spread(deviation: float) -> float:
    return 1.0 if deviation < CONSTANT else round(deviation, 6)
