"""How well features separate the classes, and how like the baseline's they are.

All in the features' own space, where no map can flatter or distort. Scores of single images come
back as such, so that intervals and paired differences are made from them. Resampling the images
themselves would make each its own nearest neighbour.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from squeezed.explain.neighbours import Floats, Integers, distance_chunks, nearest, vote
from squeezed.explain.spread import has_spread
from squeezed.foundation.errors import UserError

Bools = NDArray[np.bool_]

# Strength of the probe's ridge, as a share of the mean variance of a feature.
PROBE_RIDGE = 0.1
PROBE_FOLDS = 5
JACKKNIFE_GROUPS = 20


@dataclass(frozen=True)
class Separation:
    """Scores of each image, shape (n,)."""

    knn_correct: Bools
    """Whether the vote of the other images' nearest gives the right class."""
    silhouette: NDArray[np.float64]
    """In [−1, 1]: how much nearer the own class is than the next one (Rousseeuw 1987)."""


def check_classes(labels: Integers, class_names: list[str], neighbours: int) -> None:
    """Check that every score exists for these images.

    Args:
        labels: shape (n,).
        class_names: one for each label.
        neighbours: how many neighbours vote.

    Raises:
        UserError: if there is one class only, a class with a single image, or too few images.
    """
    present, counts = np.unique(labels, return_counts=True)
    if len(present) < 2:
        raise UserError(
            "the chosen images are of fewer than two classes, which nothing can separate; "
            "add classes to embedding.classes, or leave it empty for all of them"
        )
    if counts.min() < 2:
        alone = class_names[present[np.argmin(counts)]]
        raise UserError(
            f"class {alone!r} has one image among the {len(labels)} chosen, and so no neighbour of "
            "its own class; raise embedding.images, or leave the class out with embedding.classes"
        )
    if len(labels) <= neighbours:
        raise UserError(
            f"{len(labels)} images are too few for {neighbours} neighbours each; "
            "lower embedding.neighbours or raise embedding.images"
        )


def separation(features: Floats, labels: Integers, neighbours: int) -> Separation:
    """Score each image by its nearest neighbours and by its silhouette.

    Args:
        features: shape (n, d).
        labels: shape (n,); each class has at least two images.
        neighbours: how many vote, fewer than n.
    """
    present, classes = np.unique(labels, return_inverse=True)
    counts = np.bincount(classes)
    members = np.eye(len(present))[classes]
    correct = np.empty(len(labels), dtype=bool)
    silhouette = np.empty(len(labels))
    for rows, distances in distance_chunks(features):
        own = classes[rows]
        correct[rows] = vote(classes[nearest(distances, rows, neighbours)], len(present)) == own
        totals = distances @ members
        index = np.arange(len(own))
        within = totals[index, own] / (counts[own] - 1)  # the distance to itself is 0
        means = totals / counts
        means[index, own] = np.inf
        between = means.min(axis=1)
        larger = np.maximum(within, between)
        silhouette[rows] = np.where(larger > 0, (between - within) / np.maximum(larger, 1e-300), 0)
    return Separation(correct, silhouette)


def separation_scores(
    features: Floats, labels: Integers, *, neighbours: int, seed: int
) -> dict[str, NDArray[np.bool_] | NDArray[np.float64]]:
    """Return each image's scores by name, shape (n,) each.

    `knn_accuracy` (bool), `silhouette` (float, in [−1, 1]) and `linear_probe_accuracy` (bool). All
    are NaN where the features are the same for every image: then there is nothing to separate.

    Args:
        features: shape (n, d).
        labels: shape (n,); each class has at least two images (`check_classes`).
        neighbours: how many vote, fewer than n.
        seed: of the probe's folds.
    """
    if not has_spread(features):
        names = ("knn_accuracy", "silhouette", "linear_probe_accuracy")
        return {name: np.full(len(labels), np.nan) for name in names}
    separated = separation(features, labels, neighbours)
    return {
        "knn_accuracy": separated.knn_correct,
        "silhouette": separated.silhouette,
        "linear_probe_accuracy": linear_probe_correct(
            features, labels, folds=PROBE_FOLDS, seed=seed
        ),
    }


def likeness(features: Floats, baseline: Floats, *, seed: int) -> dict[str, float | None]:
    """Return linear CKA with the baseline's features, its interval and its floor.

    The floor, `linear_cka_shuffled`, pairs each image with another one: what features of this
    number reach that share nothing. All are None where all images have the same features.

    Args:
        features: shape (n, d).
        baseline: the baseline's of the same images, shape (n, e).
        seed: of the jackknife's groups and the shuffling.
    """
    if not (has_spread(features) and has_spread(baseline)):
        names = ("", "_low", "_high", "_shuffled")
        return {f"linear_cka{name}": None for name in names}
    low, high = linear_cka_interval(features, baseline, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(len(baseline))
    return {
        "linear_cka": linear_cka(features, baseline),
        "linear_cka_low": low,
        "linear_cka_high": high,
        "linear_cka_shuffled": linear_cka(features, baseline[shuffled]),
    }


def pixel_features(images: NDArray[np.float32], side: int = 16) -> NDArray[np.float32]:
    """Return the pixels themselves as features, shape (n, d): the control of every score.

    Args:
        images: shape (n, C, H, W), in [0, 1].
        side: larger images are averaged over blocks until no side is longer than this.
    """
    n, channels, height, width = images.shape
    block = max(1, -(-max(height, width) // side))
    rows, columns = height // block, width // block
    cut = images[:, :, : rows * block, : columns * block]
    blocks = cut.reshape(n, channels, rows, block, columns, block)
    return blocks.mean(axis=(3, 5)).reshape(n, -1)


def linear_probe_correct(features: Floats, labels: Integers, *, folds: int, seed: int) -> Bools:
    """Tell of each image whether a linear probe that never saw it gives its class.

    The probe is ridge regression on one-hot labels, fitted to the other folds (stratified).

    Args:
        features: shape (n, d).
        labels: shape (n,).
        folds: how many parts; each is predicted by a probe of the others.
        seed: of the parts.

    Returns:
        shape (n,).
    """
    features = np.asarray(features, dtype=np.float64)
    present, classes = np.unique(labels, return_inverse=True)
    targets = np.eye(len(present))[classes]
    fold_of = _stratified_folds(classes, folds, seed)
    gram, cross = features.T @ features, features.T @ targets
    correct = np.zeros(len(labels), dtype=bool)
    for fold in range(folds):
        held = fold_of == fold
        if not held.any():
            continue
        rest = len(labels) - int(held.sum())
        mean = (features.sum(axis=0) - features[held].sum(axis=0)) / rest
        share = (targets.sum(axis=0) - targets[held].sum(axis=0)) / rest
        # What the other folds give, from the total less this fold's part.
        covariance = (gram - features[held].T @ features[held]) / rest - np.outer(mean, mean)
        covariance_targets = (cross - features[held].T @ targets[held]) / rest
        covariance_targets -= np.outer(mean, share)
        ridge = PROBE_RIDGE * np.trace(covariance) / len(mean) + 1e-12
        covariance[np.diag_indices_from(covariance)] += ridge
        weights = np.linalg.solve(covariance, covariance_targets)
        scores = (features[held] - mean) @ weights + share
        correct[held] = scores.argmax(axis=1) == classes[held]
    return correct


def linear_cka(features: Floats, others: Floats) -> float:
    """Return the linear centred kernel alignment of two sets of features (Kornblith et al. 2019).

    Args:
        features: shape (n, d), of the same n images as
        others: shape (n, e).

    Returns:
        in [0, 1]; 1 for features that are the same up to rotation, scale and shift. With more
        features than images even unrelated ones are above 0: compare with shuffled rows.
    """
    return _cka(_moments(features, others))


def linear_cka_interval(
    features: Floats, others: Floats, *, seed: int, z: float = 1.96
) -> tuple[float, float]:
    """Return the 95 % interval of `linear_cka` over images, by the grouped jackknife.

    CKA is not a mean over images, and drawing an image twice would bias it upwards: so each of 20
    random groups is left out once (Efron 1982).
    """
    n = len(features)
    groups = min(JACKKNIFE_GROUPS, n)
    group_of = np.random.default_rng(seed).permutation(np.arange(n) % groups)
    total = _moments(features, others)
    left_out = np.array(
        [
            _cka(total - _moments(features[group_of == g], others[group_of == g]))
            for g in range(groups)
        ]
    )
    error = math.sqrt((groups - 1) / groups * np.sum((left_out - left_out.mean()) ** 2))
    value = _cka(total)
    return max(0.0, value - z * error), min(1.0, value + z * error)


@dataclass(frozen=True)
class _Moments:
    """Sums over images that linear CKA is a function of; those of a part can be taken away."""

    n: int
    sum_x: NDArray[np.float64]
    sum_y: NDArray[np.float64]
    xx: NDArray[np.float64]
    yy: NDArray[np.float64]
    xy: NDArray[np.float64]

    def __sub__(self, part: "_Moments") -> "_Moments":
        return _Moments(
            self.n - part.n,
            self.sum_x - part.sum_x,
            self.sum_y - part.sum_y,
            self.xx - part.xx,
            self.yy - part.yy,
            self.xy - part.xy,
        )


def _moments(features: Floats, others: Floats) -> _Moments:
    x, y = np.asarray(features, dtype=np.float64), np.asarray(others, dtype=np.float64)
    return _Moments(len(x), x.sum(axis=0), y.sum(axis=0), x.T @ x, y.T @ y, x.T @ y)


def _cka(moments: _Moments) -> float:
    mean_x, mean_y, n = moments.sum_x / moments.n, moments.sum_y / moments.n, moments.n
    between = float(np.linalg.norm(moments.xy - n * np.outer(mean_x, mean_y))) ** 2
    within_x = float(np.linalg.norm(moments.xx - n * np.outer(mean_x, mean_x)))
    within_y = float(np.linalg.norm(moments.yy - n * np.outer(mean_y, mean_y)))
    product = within_x * within_y
    return min(1.0, between / product) if product > 0 else 0.0


def _stratified_folds(classes: Integers, folds: int, seed: int) -> Integers:
    """Deal each class's images to the folds in a random order, going on where the last stopped."""
    generator = np.random.default_rng(seed)
    order = np.concatenate(
        [generator.permutation(np.flatnonzero(classes == c)) for c in range(classes.max() + 1)]
    )
    fold_of = np.empty(len(classes), dtype=np.int64)
    fold_of[order] = np.arange(len(classes)) % folds
    return fold_of
