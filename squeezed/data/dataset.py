"""The one interface through which everything reads images, whatever holds them.

Only numpy here: jobs that need no torch (the timing of a deployed model, for one) read data too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

SPLITS = ("train", "validation", "test")


class Split(Protocol):
    """One part of a data set: `train`, `validation` (held out of the training images) or `test`."""

    @property
    def labels(self) -> Labels:
        """Each image's class, shape (n,)."""
        ...

    def __len__(self) -> int: ...

    def images(self, indices: NDArray[np.integer] | None = None) -> Images:
        """Return the images at `indices` (default: all), shape (n, 3, H, W), in [0, 1]."""
        ...

    def batches(
        self, batch_size: int, indices: NDArray[np.integer] | None = None
    ) -> Iterator[tuple[Images, Labels]]:
        """Yield (images, labels) in the order of `indices` (default: all), in bounded memory."""
        ...

    def first(self, count: int) -> "Split":
        """Return a split of the first `count` images, or of all if there are not more."""
        ...


class Dataset(Protocol):
    """A data set with its three splits. `squeezed.data.open_dataset` returns one."""

    name: str
    path: Path
    """What `squeezed.data.open_dataset` opened."""
    digest: str
    """SHA-256 of all images and labels: the same data set has the same, wherever it lies."""
    class_names: list[str]
    image_size: tuple[int, int]
    """Height and width of the images that the splits return."""
    mean: list[float]
    """Mean of each channel over the training images, in [0, 1]."""
    std: list[float]
    """Standard deviation of each channel over the training images."""
    preprocessing: dict[str, Any]
    """How an image file becomes pixels (`squeezed.data.geometry.Geometry.facts`)."""
    source: dict[str, Any]
    """Where the images come from: `kind`, `name` and SHA-256, no path of a machine."""

    @property
    def train(self) -> Split:
        """The images to fit weights and ranges on."""
        ...

    @property
    def validation(self) -> Split:
        """The images to choose by: epoch, amount."""
        ...

    @property
    def test(self) -> Split:
        """The images that results are read from, and nothing is chosen by."""
        ...


def choose_indices(n: int, count: int, seed: int) -> NDArray[np.int64]:
    """Choose `count` of `n` images at random, sorted; all of them if there are not more.

    The same arguments give the same images, so that all variants are asked about the same ones.
    """
    if count >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size=count, replace=False))


def choose_stratified(labels: Labels, count: int, seed: int) -> NDArray[np.int64]:
    """Choose `count` images at random, as many of each class as its share; all if not more.

    No class is left with a single image while another has more than two: rare classes get two (or
    all they have) as long as `count` allows. The same arguments give the same images.

    Args:
        labels: each image's class, shape (n,).
        count: how many to choose.
        seed: of the choice.

    Returns:
        Sorted indices, shape (min(count, n),).
    """
    if count >= len(labels):
        return np.arange(len(labels))
    generator = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in zip(classes, _shares(sizes, count), strict=True)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _shares(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Divide `count` among classes by largest remainders, above a floor of two images each."""
    floor = np.minimum(sizes, 2)
    if floor.sum() > count:  # more classes than that: two each to the largest ones
        floor = np.zeros_like(sizes)
        room = np.argsort(-sizes, kind="stable")
        for label in room:
            floor[label] = min(2, sizes[label], count - floor.sum())
        return floor
    exact = np.maximum(count * sizes / sizes.sum(), floor)
    # What the floor gives to the rare is taken from what is above it, in proportion.
    above = exact - floor
    exact = floor + above * (count - floor.sum()) / max(above.sum(), 1e-12)
    quotas = np.minimum(np.floor(exact + 1e-9).astype(np.int64), sizes)
    order = np.argsort(quotas - exact, kind="stable")
    while quotas.sum() < count:
        for label in order:
            if quotas.sum() < count and quotas[label] < sizes[label]:
                quotas[label] += 1
    return quotas
