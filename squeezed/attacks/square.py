"""The Square attack for L2 (Andriushchenko et al. 2020): random search, no gradient.

It asks a model for logits and nothing else, so it finds what a gradient attack misses where
gradients are masked. Written after the authors' algorithm 3; loads no torch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Logits = Callable[[Images], NDArray[np.float32]]

# The share of the image that a square covers is halved at these shares of the queries.
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass
class SquareResult:
    """What the search found for n images."""

    images: Images
    """float32 (n, C, H, W): the candidates with the smallest margin, in [0, 1]."""
    success: NDArray[np.bool_]
    """(n,): whether each is classified wrongly."""
    queries: NDArray[np.int64]
    """(n,): how often the model was asked about each image."""


def square_attack(
    logits: Logits,
    images: Images,
    labels: NDArray[np.int64],
    *,
    budget: float,
    queries: int,
    seed: int,
    initial_share: float = 0.1,
) -> SquareResult:
    """Search for images at L2 distance at most `budget` that are classified wrongly.

    Args:
        logits: maps float32 images (n, C, H, W) in [0, 1] to logits (n, classes).
        images: float32 (n, C, H, W), in [0, 1]; each side at least 5 pixels.
        labels: (n,), the true classes.
        budget: the largest L2 distance, in units of [0, 1].
        queries: how often the model may be asked about one image.
        seed: of the random squares.
        initial_share: share of the image that the first squares cover.
    """
    random = np.random.default_rng(seed)
    best = _at_distance(images, _first_pattern(images.shape, random), budget)
    margin = _margin(logits(best), labels)
    asked = np.ones(len(images), dtype=np.int64)
    for query in range(1, queries):
        left = np.flatnonzero(margin > 0)
        if not len(left):
            break
        side = _side(initial_share, query / queries, images.shape[-2:])
        change = _moved_square(best[left] - images[left], side, budget, random)
        candidates = _at_distance(images[left], change, budget)
        found = _margin(logits(candidates), labels[left])
        asked[left] += 1
        better = found < margin[left]
        best[left[better]] = candidates[better]
        margin[left[better]] = found[better]
    return SquareResult(best, margin <= 0, asked)


def _margin(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return true logit − largest other; 0 at most exactly where the prediction is wrong."""
    rows = np.arange(len(labels))
    values = logits.astype(np.float64)
    own = values[rows, labels]
    wrong = values.argmax(axis=1) != labels
    values[rows, labels] = -np.inf
    margin = own - values.max(axis=1)
    # On a tie the first of the largest is predicted; the margin must agree with that.
    return np.where(wrong, np.minimum(margin, 0), np.maximum(margin, np.finfo(float).tiny))


def _at_distance(images: Images, change: NDArray[np.floating], budget: float) -> Images:
    """Return images + change, scaled to length `budget` and clipped to [0, 1]."""
    length = np.sqrt((change**2).sum(axis=(1, 2, 3), keepdims=True))
    moved = images + change * (budget / np.maximum(length, 1e-12))
    return np.clip(moved, 0, 1).astype(np.float32)


def _side(initial_share: float, progress: float, size: tuple[int, ...]) -> int:
    """Return the odd side of the squares at this share of the queries."""
    height, width = size
    share = initial_share / 2 ** sum(progress > threshold for threshold in HALVINGS)
    side = max(3, round(float(np.sqrt(share * height * width))))
    return min(side + (side % 2 == 0), min(height, width) - 1)


def _first_pattern(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
    """Return a grid of five by five bumps, each of a random sign in each channel."""
    n, channels, height, width = shape
    pattern = np.zeros(shape)
    side = min(height, width) // 5
    for top in range((height - 5 * side) // 2, height - side + 1, side):
        for left in range((width - 5 * side) // 2, width - side + 1, side):
            signs = random.choice([-1.0, 1.0], size=(n, channels, 1, 1))
            pattern[:, :, top : top + side, left : left + side] += _bumps(side, random) * signs
    return pattern


def _moved_square(
    change: NDArray[np.floating], side: int, budget: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return the change with one square emptied, and its length put into another square."""
    change = change.astype(np.float64)
    n, channels, height, width = change.shape
    top, top_2 = random.integers(0, height - side, size=2)
    left, left_2 = random.integers(0, width - side, size=2)
    into = np.s_[:, :, top : top + side, left : left + side]
    emptied = np.s_[:, :, top_2 : top_2 + side, left_2 : left_2 + side]
    either = np.zeros((1, 1, height, width))
    either[into] = either[emptied] = 1
    free = np.maximum(budget**2 - (change**2).sum(axis=(1, 2, 3), keepdims=True), 0)
    available = free / channels + ((change * either) ** 2).sum(axis=(2, 3), keepdims=True)
    old = change[into] / (1e-10 + np.sqrt((change[into] ** 2).sum(axis=(2, 3), keepdims=True)))
    new = old + _bumps(side, random) * random.choice([-1.0, 1.0], size=(n, channels, 1, 1))
    new /= np.maximum(np.sqrt((new**2).sum(axis=(2, 3), keepdims=True)), 1e-12)
    change[emptied] = 0
    change[into] = new * np.sqrt(available)
    return np.asarray(change)


def _bumps(side: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return two bumps of opposite sign that fill a square, of length 1, in a random direction."""
    half = side // 2
    bumps = np.concatenate([_bump(half, side), -_bump(side - half, side)])
    bumps /= np.sqrt((bumps**2).sum())
    return np.asarray(bumps.T if random.random() > 0.5 else bumps)


def _bump(height: int, width: int) -> NDArray[np.float64]:
    """Return a bump that falls from its centre with the square of the distance, of length 1."""
    bump = np.zeros((height, width))
    top, left = height // 2, width // 2
    for ring in range(max(top, left) + 1):
        rows = slice(max(0, top - ring), min(height, top + ring + 1))
        columns = slice(max(0, left - ring), min(width, left + ring + 1))
        bump[rows, columns] += 1 / (ring + 1) ** 2
    length = np.sqrt((bump**2).sum())
    return bump / length if length else bump
