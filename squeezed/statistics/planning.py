"""How many seeds or images would decide a comparison that is open."""

import math
import statistics

import numpy as np
from scipy import special

POWER = 0.8
"""The comparison is then decided four times in five, if the difference is what it seems now."""


def seeds_needed(
    distance: float,
    seed_spread: float,
    image_error: float = 0.0,
    *,
    most: int = 100,
    power: float = POWER,
    confidence: float = 0.95,
) -> int | None:
    """Return how many seeds would probably tell a figure from a threshold.

    More seeds take away the seeds' chance alone: what the test images contribute stays.

    Args:
        distance: of the figure from the threshold, not zero.
        seed_spread: standard deviation between seeds.
        image_error: standard error that more seeds do not take away
            (`squeezed.statistics.crossed.CrossedEstimate.image_error`).
        most: nobody trains more often than that.
        power: the probability of a decision.
        confidence: of the interval that decides.

    Returns:
        The smallest number of seeds, at least 2; None where `most` are too few.
    """
    seeds = np.arange(2, most + 1)
    half = np.hypot(
        special.stdtrit(seeds - 1, (1 + confidence) / 2) * seed_spread / np.sqrt(seeds),
        _normal(confidence) * image_error,
    )
    error = np.hypot(seed_spread / np.sqrt(seeds), image_error)
    enough = abs(distance) >= half + statistics.NormalDist().inv_cdf(power) * error
    return int(seeds[enough.argmax()]) if enough.any() else None


def image_error(
    half_width: float, seed_spread: float, seeds: int, *, confidence: float = 0.95
) -> float:
    """Return the standard error that the test images contribute to an interval over both.

    Args:
        half_width: of the interval over seeds and images.
        seed_spread: standard deviation between seeds.
        seeds: how many there are, at least 2.
        confidence: of the interval.
    """
    of_seeds = float(special.stdtrit(seeds - 1, (1 + confidence) / 2)) * seed_spread / seeds**0.5
    of_images = math.sqrt(max(0.0, half_width**2 - of_seeds**2)) / _normal(confidence)
    # Nothing is left but the rounding of floating point.
    return of_images if of_images > 1e-6 * half_width else 0.0


def images_needed(
    distance: float,
    half_width: float,
    images: int,
    *,
    power: float = POWER,
    confidence: float = 0.95,
) -> int:
    """Return how many test images would probably tell a figure of one network from a threshold.

    Args:
        distance: of the figure from the threshold, not zero.
        half_width: of its interval over `images` images.
        images: how many there are now.
        power: the probability of a decision.
        confidence: of the interval.
    """
    z = _normal(confidence)
    factor = (1 + statistics.NormalDist().inv_cdf(power) / z) * half_width / abs(distance)
    return math.ceil(images * factor**2)


def _normal(confidence: float) -> float:
    return statistics.NormalDist().inv_cdf((1 + confidence) / 2)
