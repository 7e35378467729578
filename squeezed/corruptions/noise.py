"""Noise of the sensor and of its bits: Gaussian, shot, impulse."""

from collections.abc import Sequence

import numpy as np

from squeezed.corruptions.sampling import Images

Generators = Sequence[np.random.Generator]
"""One for each image, so that no image depends on its neighbours."""


def gaussian_noise(images: Images, generators: Generators, scale: float) -> Images:
    """Add normal noise of this standard deviation."""
    noise = [g.standard_normal(images.shape[1:], dtype=np.float32) for g in generators]
    return images + np.float32(scale) * np.stack(noise)


def shot_noise(images: Images, generators: Generators, photons: float) -> Images:
    """Draw each value as the Poisson count of that many photons at full brightness."""
    counts = [g.poisson(photons * image) for g, image in zip(generators, images, strict=True)]
    return (np.stack(counts) / photons).astype(np.float32)


def impulse_noise(images: Images, generators: Generators, amount: float) -> Images:
    """Set this share of the values to 0 or 1."""
    drawn = np.stack([g.random((2, *images.shape[1:]), dtype=np.float32) for g in generators])
    salt = np.where(drawn[:, 1] < 0.5, np.float32(1), np.float32(0))
    return np.where(drawn[:, 0] < amount, salt, images)
