"""A small data set as one safetensors file of uint8 tensors."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from squeezed.data.dataset import SPLITS, Images, Labels
from squeezed.errors import UserError
from squeezed.files import atomic_path

HEADER_KEY = "squeezed_dataset"


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


class TensorDataset:
    """A data set read from one tensor file (see `squeezed.data.dataset.Dataset`)."""

    def __init__(self, path: str | Path) -> None:
        """Open `path`.

        Raises:
            UserError: if it is not a data set file.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {})[HEADER_KEY])
                splits = {
                    split: TensorSplit(
                        file.get_tensor(f"{split}_images"), file.get_tensor(f"{split}_labels")
                    )
                    for split in SPLITS
                }
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise UserError(
                f"{path} is not a data set file ({error}); delete it and run the workflow again"
            ) from error
        self.name: str = header["name"]
        self.path = Path(path)
        self.digest: str = header["digest"]
        self.class_names: list[str] = header["class_names"]
        self.mean: list[float] = header["mean"]
        self.std: list[float] = header["std"]
        self.source: dict[str, Any] = header["source"]
        self.train, self.validation, self.test = (splits[split] for split in SPLITS)
        height, width = self.train.pixels.shape[2:]
        self.image_size = (int(height), int(width))


def write_tensor_dataset(
    path: str | Path,
    *,
    name: str,
    class_names: list[str],
    splits: Mapping[str, tuple[NDArray[np.uint8], Labels]],
    source: Mapping[str, Any],
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
        normalisation: mean and standard deviation of each channel; default: those of all training
            images.
    """
    mean, std = normalisation or _normalisation(splits["train"][0])
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
        "source": dict(source),
    }
    with atomic_path(path) as temporary:
        # One metadata key: safetensors writes several in no fixed order.
        save_file(tensors, temporary, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)})


def _normalisation(pixels: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel, from how often each value occurs."""
    mean, std = [], []
    values = np.arange(256) / 255
    for channel in range(pixels.shape[1]):
        counts = np.bincount(pixels[:, channel].ravel(), minlength=256)
        average = (counts * values).sum() / counts.sum()
        variance = (counts * (values - average) ** 2).sum() / counts.sum()
        mean.append(round(float(average), 6))
        std.append(round(float(np.sqrt(variance)), 6))
    return mean, std


def _digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.shape}\n".encode())
        digest.update(tensor.data)
    return digest.hexdigest()
