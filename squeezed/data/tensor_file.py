"""A small data set as one safetensors file of uint8 tensors."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.data import pixel_statistics
from squeezed.data.dataset import SPLITS, Images, Labels
from squeezed.data.dataset_file import StoredDataset, write_dataset_file
from squeezed.data.geometry import AS_IT_IS, Geometry

KIND = "squeezed_dataset"


class TensorSplit:
    """A split held in memory as uint8 (see `squeezed.data.dataset.Split`)."""

    def __init__(self, pixels: NDArray[np.uint8], labels: Labels) -> None:
        """Hold `pixels`, shape (n, 3, H, W), and `labels`, shape (n,)."""
        self.pixels = pixels
        self.labels = labels

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def images(self, indices: NDArray[np.integer] | None = None) -> Images:
        """Return the images at `indices` (default: all), shape (n, 3, H, W), in [0, 1]."""
        chosen = self.pixels if indices is None else self.pixels[indices]
        return chosen.astype(np.float32) / np.float32(255)

    def batches(
        self, batch_size: int, indices: NDArray[np.integer] | None = None
    ) -> Iterator[tuple[Images, Labels]]:
        """Yield (images, labels) in the order of `indices` (default: all)."""
        order = np.arange(len(self)) if indices is None else np.asarray(indices)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield self.images(chosen), self.labels[chosen]

    def first(self, count: int) -> "TensorSplit":
        """Return a split of the first `count` images, or of all if there are not more."""
        return TensorSplit(self.pixels[:count], self.labels[:count])


class TensorDataset(StoredDataset):
    """A data set read from one tensor file (see `squeezed.data.dataset.Dataset`)."""

    def __init__(
        self, path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        """Take what `read_dataset_file` returned for `path`."""
        super().__init__(path, header)
        self.train, self.validation, self.test = (
            TensorSplit(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in SPLITS
        )
        height, width = self.train.pixels.shape[2:]
        self.image_size = (int(height), int(width))


def write_tensor_dataset(
    path: str | Path,
    *,
    name: str,
    class_names: list[str],
    splits: Mapping[str, tuple[NDArray[np.uint8], Labels]],
    source: Mapping[str, Any],
    geometry: Geometry = AS_IT_IS,
    normalisation: tuple[list[float], list[float]] | None = None,
) -> None:
    """Write a data set file, whole or not at all; the same content gives the same bytes.

    Args:
        path: the safetensors file.
        name: the data set's name.
        class_names: one for each label, in order.
        splits: `train`, `validation` and `test`, each as images of shape (n, 3, H, W) and labels
            of shape (n,).
        source: where the images come from (names and checksums, no path of a machine).
        geometry: what brought the images to one size.
        normalisation: mean and standard deviation of each channel; default: those of all training
            images.
    """
    mean, std = normalisation or pixel_statistics.of_counts(splits["train"][0])
    tensors = {}
    for split in SPLITS:
        images, labels = splits[split]
        tensors[f"{split}_images"] = np.ascontiguousarray(images, dtype=np.uint8)
        tensors[f"{split}_labels"] = np.ascontiguousarray(labels, dtype=np.int64)
    header = {
        "name": name,
        "digest": _digest(tensors),
        "class_names": list(class_names),
        "mean": mean,
        "std": std,
        "preprocessing": geometry.facts(),
        "source": dict(source),
    }
    write_dataset_file(path, KIND, header, tensors)


def _digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.shape}\n".encode())
        digest.update(tensor.data)
    return digest.hexdigest()
