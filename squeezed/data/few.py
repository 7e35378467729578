"""A data set cut down to a few images of each split: enough to try what would take long on all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.data.dataset import Dataset, Images, Labels, Split


class FewImages:
    """The first images of a split; a `Split` itself."""

    def __init__(self, split: Split, count: int) -> None:
        """Look at the first `count` images of `split`, or all if there are not more."""
        self._split = split
        self._indices = np.arange(min(count, len(split)))

    @property
    def labels(self) -> Labels:
        """Each image's class, shape (n,)."""
        return self._split.labels[self._indices]

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self._indices)

    def images(self, indices: NDArray[np.integer] | None = None) -> Images:
        """Return the images at `indices` (default: all), shape (n, 3, H, W), in [0, 1]."""
        return self._split.images(self._indices if indices is None else self._indices[indices])

    def batches(
        self, batch_size: int, indices: NDArray[np.integer] | None = None
    ) -> Iterator[tuple[Images, Labels]]:
        """Yield (images, labels) in the order of `indices` (default: all)."""
        chosen = self._indices if indices is None else self._indices[indices]
        return self._split.batches(batch_size, chosen)


class FewOfEach:
    """A data set of which each split shows its first images only; a `Dataset` itself."""

    def __init__(self, dataset: Dataset, count: int) -> None:
        """Look at the first `count` images of each split of `dataset`."""
        self.name: str = dataset.name
        self.path: Path = dataset.path
        self.digest: str = dataset.digest
        self.class_names: list[str] = dataset.class_names
        self.image_size: tuple[int, int] = dataset.image_size
        self.mean: list[float] = dataset.mean
        self.std: list[float] = dataset.std
        self.source: dict[str, Any] = dataset.source
        self.preprocessing: dict[str, Any] = dataset.preprocessing
        self.train = FewImages(dataset.train, count)
        self.validation = FewImages(dataset.validation, count)
        self.test = FewImages(dataset.test, count)
