"""The 15 standard corruptions of Hendrycks & Dietterich (2019), for many images at once.

Each image is corrupted by its own random numbers, of (seed, corruption, severity, image), so that
every variant sees the same pixels, whichever images it is shown beside them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.corruptions import blurs, digital, noise, weather
from squeezed.corruptions.parameters import KINDS, parameters
from squeezed.corruptions.sampling import Images

OPERATIONS: dict[str, Callable[[Images, noise.Generators, Any], Images]] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blurs.defocus_blur,
    "glass_blur": blurs.glass_blur,
    "motion_blur": blurs.motion_blurred,
    "zoom_blur": blurs.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": weather.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}


def corrupt(
    images: Images, indices: NDArray[np.integer], kind: str, severity: int, *, seed: int = 0
) -> Images:
    """Return corrupted copies of images.

    Args:
        images: shape (n, channels, height, width), in [0, 1].
        indices: which images of their data set they are, shape (n,).
        kind: one of `squeezed.corruptions.parameters.KINDS`.
        severity: 1 to 5.
        seed: of all random numbers.

    Returns:
        The same shape, float32 in [0, 1], in steps of 1/255 as the published sets are.
    """
    number = KINDS.index(kind)
    generators = [np.random.default_rng([seed, number, severity, int(index)]) for index in indices]
    side = max(images.shape[-2:])
    images = np.asarray(images, dtype=np.float32)
    changed = OPERATIONS[kind](images, generators, parameters(kind, severity, side))
    # The published sets cut the fraction off; a hair above, what is whole but for float32 stays. A
    # wider hair would undo the lightest blurs, which take a level by less than a thousandth.
    levels = np.floor(np.clip(changed, 0, 1) * np.float32(255) + np.float32(1e-4))
    return (levels / np.float32(255)).astype(np.float32)
