"""Intervals and paired comparisons: how sure a figure is.

Needs scipy's special functions alone: importing `scipy.stats` takes longer than many jobs run.
"""

import statistics
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from squeezed.statistics.proportions import wilson_interval

__all__ = [
    "FEWEST_IMAGES",
    "Interval",
    "bootstrap_mean_interval",
    "mcnemar_p_value",
    "mean_interval_over_seeds",
    "normal_interval",
    "normal_p_value",
    "paired_proportion_interval",
    "wilson_interval",
]

Interval = tuple[float, float]

FEWEST_IMAGES = 5
"""With fewer images there is no interval of a mean: they hardly show how far they are spread."""

_MOST_DRAWS = 2**17
"""Values of resamples that are drawn together: few calls where n is small, little memory else."""


def bootstrap_mean_interval(
    values: NDArray[np.floating], *, seed: int, confidence: float = 0.95, resamples: int = 2000
) -> Interval:
    """Return the expanded percentile bootstrap interval of the mean of per-image values.

    Resamples of n values are too little spread by √((n − 1)/n), and their quantiles are as if the
    spread were known. So those are taken that Student's t reaches (Hesterberg 2015): the interval
    stays within the values' range, and holds for few images, too.

    Args:
        values: shape (n,), one value for each image. For a paired comparison pass the differences.
        seed: of the resampling.
        confidence: of the interval.
        resamples: how many means are drawn.

    Raises:
        ValueError: if there are fewer than `FEWEST_IMAGES` values.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < FEWEST_IMAGES:
        raise ValueError(f"an interval of a mean needs at least {FEWEST_IMAGES} images, not {n}")
    generator = np.random.default_rng(seed)
    together = max(1, _MOST_DRAWS // n)
    means = np.concatenate(
        [
            values[generator.integers(0, n, (rows, n))].mean(axis=1)
            for rows in (min(together, resamples - k) for k in range(0, resamples, together))
        ]
    )
    tail = special.ndtr(-np.sqrt(n / (n - 1)) * special.stdtrit(n - 1, (1 + confidence) / 2))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval_over_seeds(values: NDArray[np.floating], confidence: float = 0.95) -> Interval:
    """Return Student's t interval of the mean over seeds.

    Raises:
        ValueError: if there are fewer than two values: one seed shows no spread.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        raise ValueError("an interval over seeds needs at least two seeds")
    half = special.stdtrit(len(values) - 1, (1 + confidence) / 2) * _standard_error(values)
    return float(values.mean() - half), float(values.mean() + half)


def normal_interval(values: NDArray[np.floating], confidence: float = 0.95) -> Interval:
    """Return the interval of the mean of independent normal values, such as one for each image.

    Student's, whose quantile is the normal one where there are many. With one value there is no
    spread to see: the interval is without end.
    """
    values = np.asarray(values, dtype=np.float64)
    return mean_interval_over_seeds(values, confidence) if len(values) > 1 else (-np.inf, np.inf)


def normal_p_value(differences: NDArray[np.floating]) -> float:
    """Return the two-sided p-value of a mean difference of zero, of independent images.

    Without any difference, or with a single image, there is nothing to tell: 1.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if len(differences) < 2 or not differences.any():
        return 1.0
    error = _standard_error(differences)
    if error == 0:
        return 0.0
    return float(2 * special.ndtr(-abs(differences.mean()) / error))


def paired_proportion_interval(
    gained: float, lost: float, n: float, confidence: float = 0.95
) -> Interval:
    """Return Tango's score interval (1998) of a difference of paired proportions.

    It holds the differences that a score test does not refuse, so it keeps a width where no image
    changed sides (Wilson's then, ± z² / (n + z²)), and covers where few did, all to one side.

    Args:
        gained: images that only the second classifier gets right.
        lost: images that only the first gets right.
        n: all images, at least 1. Need not be whole, nor are the others: an effective number.
        confidence: of the interval.

    Raises:
        ValueError: if the counts do not fit.
    """
    if n < 1 or gained < 0 or lost < 0 or gained + lost > n * (1 + 1e-9):
        raise ValueError(f"{gained} gained and {lost} lost of {n} images cannot be")
    z, found = _normal_quantile(confidence), (gained - lost) / n

    def is_refused(difference: float) -> bool:
        # The share of images lost that is most likely with this difference (equation 7).
        linear = (2 * n - gained + lost) * difference - gained - lost
        product = 8 * n * lost * difference * (1 - difference)
        root = max(0.0, linear**2 + product) ** 0.5
        variance = (root - linear) / (2 * n) + difference * (1 - difference)
        return abs(gained - lost - n * difference) > z * max(0.0, n * variance) ** 0.5

    return _last_kept(is_refused, found, -1.0), _last_kept(is_refused, found, 1.0)


def _last_kept(is_refused: Callable[[float], bool], kept: float, refused: float) -> float:
    """Return how far from what is kept a test goes toward an end before it refuses."""
    if not is_refused(refused):
        return refused
    for _ in range(50):
        middle = (kept + refused) / 2
        kept, refused = (kept, middle) if is_refused(middle) else (middle, refused)
    return kept


def mcnemar_p_value(
    baseline_correct: NDArray[np.bool_], variant_correct: NDArray[np.bool_]
) -> float:
    """Return the exact two-sided McNemar p-value of two classifiers on the same images.

    Args:
        baseline_correct, variant_correct: shape (n,), whether each image is classified correctly.
    """
    only_baseline = int(np.sum(baseline_correct & ~variant_correct))
    only_variant = int(np.sum(~baseline_correct & variant_correct))
    discordant = only_baseline + only_variant
    if discordant == 0:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(only_baseline, only_variant), discordant, 0.5)))


def _normal_quantile(confidence: float) -> float:
    return statistics.NormalDist().inv_cdf((1 + confidence) / 2)


def _standard_error(values: NDArray[np.floating]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
