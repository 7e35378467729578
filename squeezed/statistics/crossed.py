"""Intervals over seeds and test images at once, which are crossed: each seed judges each image.

A figure of `S` seeds and `n` images has three sources of chance: the seed, the image, and what only
this seed does with this image. Its variance is their sum, σ_seed²/S + σ_image²/n + σ_both²/(S·n).
The variance between the seeds' own figures holds the first and the last; the covariance between
seeds over the images they share is the second and nothing else. So the two add up without anything
counted twice (the analysis of variance of a crossed design, Searle, Casella & McCulloch 1992), and
each gets its own quantile: Student's of as many seeds, and of as many images (in quadrature, as Zou
& Donner 2008 recover variances from intervals).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from squeezed.statistics.intervals import paired_proportion_interval
from squeezed.statistics.proportions import wilson_of_share

FEWEST_RARE = 5
"""Below so many images on the rarer side their correlation between seeds cannot be told: all of an
image's chance is then taken as shared by the seeds, which makes the interval wider."""
MANY = 1e12
"""Images whose chance does not count."""


@dataclass(frozen=True)
class CrossedEstimate:
    """A mean over seeds and images, and its interval."""

    value: float
    low: float
    high: float
    spread: float
    """Standard deviation between the seeds' own means."""
    image_error: float
    """Standard error that more seeds would not take away."""
    seeds: int
    images: int
    """Of a seed, on average."""


def crossed_mean(values: NDArray[np.floating], confidence: float = 0.95) -> CrossedEstimate:
    """Return the mean of scores and its interval over seeds and images.

    Args:
        values: shape (seeds, images), at least two seeds; not-a-number where a seed lacks an image.
        confidence: of the interval.

    Raises:
        ValueError: if there are fewer than two seeds with values.
    """
    parts = _components(values)
    half = float(np.hypot(_seed_half(parts, confidence), _image_half(parts, confidence)))
    return _estimate(parts, parts.value - half, parts.value + half)


def crossed_share(hits: NDArray[np.floating], confidence: float = 0.95) -> CrossedEstimate:
    """Return a share and its interval over seeds and images, within [0, 1].

    The images' part is Wilson's interval of as many independent images as would give the variance
    that the seeds share (the effective sample size of surveys, Korn & Graubard 1998); the seeds' is
    Student's on the scale of log odds, since near 1 a seed can be much worse but hardly better.

    Args:
        hits: shape (seeds, images) of 0 and 1; not-a-number where a seed lacks an image.
        confidence: of the interval.

    Raises:
        ValueError: if there are fewer than two seeds with values, or a value is neither 0 nor 1.
    """
    hits = np.asarray(hits, dtype=np.float64)
    if not np.isin(hits[~np.isnan(hits)], (0.0, 1.0)).all():
        raise ValueError("a share is of zeros and ones")
    parts = _components(hits)
    share, n = parts.value, parts.images
    variance = share * (1 - share)
    effective = _effective_images(parts, variance, min(share, 1 - share) * n)
    low, high = wilson_of_share(share, effective, confidence)
    worst, best = share, share
    if variance > 0:
        odds = special.logit(share)
        half = _seed_half(parts, confidence) / variance
        worst, best = special.expit(odds - half), special.expit(odds + half)
    return _estimate(
        parts,
        max(0.0, share - float(np.hypot(share - low, share - worst))),
        min(1.0, share + float(np.hypot(high - share, best - share))),
    )


def crossed_share_difference(
    changes: NDArray[np.floating], confidence: float = 0.95
) -> CrossedEstimate:
    """Return a difference of paired shares and its interval over seeds and images.

    The images' part is Tango's interval of as many independent images as would give the variance
    that the seeds share, as `crossed_share` has Wilson's.

    Args:
        changes: shape (seeds, images): 1 where only the second classifier is right, -1 where only
            the first is, else 0; not-a-number where a seed lacks an image.
        confidence: of the interval.

    Raises:
        ValueError: if there are fewer than two seeds with values, or a value is another.
    """
    changes = np.asarray(changes, dtype=np.float64)
    if not np.isin(changes[~np.isnan(changes)], (-1.0, 0.0, 1.0)).all():
        raise ValueError("a change of a paired share is -1, 0 or 1")
    parts = _components(changes)
    known = np.count_nonzero(~np.isnan(changes))
    gained = np.count_nonzero(changes > 0) / known
    lost = np.count_nonzero(changes < 0) / known
    variance = gained + lost - (gained - lost) ** 2
    n = _effective_images(parts, variance, (gained + lost) * parts.images)
    low, high = paired_proportion_interval(gained * n, lost * n, n, confidence)
    seed, found = _seed_half(parts, confidence), gained - lost
    return _estimate(
        parts,
        max(-1.0, parts.value - float(np.hypot(seed, found - low))),
        min(1.0, parts.value + float(np.hypot(seed, high - found))),
    )


def crossed_median(
    values: NDArray[np.floating], *, seed: int = 0, resamples: int = 500, confidence: float = 0.95
) -> CrossedEstimate:
    """Return the mean over seeds of the median over images, and its interval over both.

    What the seeds share is the covariance of their medians when the images are drawn anew.

    Args:
        values: shape (seeds, images); not-a-number where a seed lacks an image.
        seed: of the drawing.
        resamples: how often the images are drawn.
        confidence: of the interval.

    Raises:
        ValueError: if there are fewer than two seeds with values.
    """
    scores: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    scores = scores[~np.isnan(scores).all(axis=1)]
    if len(scores) < 2:
        raise ValueError("an interval over seeds needs at least two seeds")
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, scores.shape[1], (resamples, scores.shape[1]))
    covariance = np.ma.cov(np.ma.masked_invalid(_medians(scores[:, drawn]))).filled(0.0)
    pairs = np.triu_indices(len(scores), 1)
    medians = _medians(scores)
    parts = _Components(
        float(medians.mean()),
        float(medians.std(ddof=1)),
        float(np.sqrt(max(0.0, covariance[pairs].mean()))),
        len(scores),
        round(np.count_nonzero(~np.isnan(scores)) / len(scores)),
    )
    half = float(np.hypot(_seed_half(parts, confidence), _image_half(parts, confidence)))
    return _estimate(parts, parts.value - half, parts.value + half)


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the medians over the last axis of what is known; not-a-number where nothing is."""
    ordered = np.sort(values, axis=-1)  # not-a-number comes last
    known = (~np.isnan(values)).sum(axis=-1)
    lower = np.maximum(known - 1, 0) // 2
    middle = [
        np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0]
        for index in (lower, np.minimum(known // 2, values.shape[-1] - 1))
    ]
    return np.where(known > 0, (middle[0] + middle[1]) / 2, np.nan)


@dataclass(frozen=True)
class _Components:
    value: float
    spread: float
    image_error: float
    seeds: int
    images: int


def _components(values: NDArray[np.floating]) -> _Components:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"scores have the shape (seeds, images), not {values.shape}")
    known = ~np.isnan(values)
    values, known = values[known.any(axis=1)], known[known.any(axis=1)]
    if len(values) < 2:
        raise ValueError("an interval over seeds needs at least two seeds")
    counts = known.sum(axis=1)
    filled = np.where(known, values, 0.0)
    means = filled.sum(axis=1) / counts
    deviations = np.where(known, values - means[:, None], 0.0)
    # Each pair of seeds over the images that both have.
    products, common = deviations @ deviations.T, known.astype(np.float64) @ known.T
    pairs = np.triu_indices(len(values), 1)
    products, common = products[pairs], common[pairs]
    enough = common > 1
    covariance = (products[enough] / (common[enough] - 1)).mean() if enough.any() else 0.0
    # Of an image effect that two seeds share, only what they have in common stays when seeds do not
    # see the same images.
    shared = (common / (counts[pairs[0]] * counts[pairs[1]])).mean()
    return _Components(
        float(means.mean()),
        float(means.std(ddof=1)),
        float(np.sqrt(max(0.0, covariance) * shared)),
        len(values),
        max(1, round(counts.mean())),
    )


def _effective_images(parts: _Components, variance: float, rarer: float) -> float:
    """Return how many independent images would give the variance that the seeds share.

    Args:
        parts: of the hits or changes.
        variance: of a single one.
        rarer: how many images stand on the rarer side, of a seed.
    """
    if rarer < FEWEST_RARE or variance <= 0:
        return float(parts.images)
    if parts.image_error == 0:
        return MANY
    return min(MANY, max(float(parts.images), variance / parts.image_error**2))


def _seed_half(parts: _Components, confidence: float) -> float:
    quantile = float(special.stdtrit(parts.seeds - 1, (1 + confidence) / 2))
    return quantile * parts.spread / parts.seeds**0.5


def _image_half(parts: _Components, confidence: float) -> float:
    quantile = float(special.stdtrit(max(1, parts.images - 1), (1 + confidence) / 2))
    return quantile * parts.image_error


def _estimate(parts: _Components, low: float, high: float) -> CrossedEstimate:
    return CrossedEstimate(
        parts.value, low, high, parts.spread, parts.image_error, parts.seeds, parts.images
    )
