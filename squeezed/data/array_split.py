"""Images at hand, as in a notebook, for what asks for a split of a data set."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from squeezed.data.dataset import Images, Labels


class ArraySplit:
    """Images held as float32 (see `squeezed.data.dataset.Split`)."""

    def __init__(self, images: Images, labels: Labels | None = None) -> None:
        """Hold `images`, shape (n, C, H, W), in [0, 1], and `labels`, shape (n,), if known."""
        self._images = np.asarray(images, dtype=np.float32)
        self.labels = np.zeros(len(images), np.int64) if labels is None else np.asarray(labels)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def images(self, indices: NDArray[np.integer] | None = None) -> Images:
        """Return the images at `indices` (default: all), shape (n, C, H, W), in [0, 1]."""
        return self._images if indices is None else self._images[indices]

    def batches(
        self, batch_size: int, indices: NDArray[np.integer] | None = None
    ) -> Iterator[tuple[Images, Labels]]:
        """Yield (images, labels) in the order of `indices` (default: all)."""
        order = np.arange(len(self)) if indices is None else np.asarray(indices)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield self._images[chosen], self.labels[chosen]
