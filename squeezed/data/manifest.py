"""A large data set: images stay in their folders, a manifest says which they are."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from squeezed.data import pixel_statistics
from squeezed.data.dataset import SPLITS, Images, Labels
from squeezed.data.dataset_file import StoredDataset, write_dataset_file
from squeezed.data.geometry import Geometry
from squeezed.data.image_files import UnreadableImage, open_rgb, read_image_file, to_array
from squeezed.foundation.errors import UserError
from squeezed.foundation.files import user_path
from squeezed.foundation.workers import configured_workers

KIND = "squeezed_manifest"

NORMALISATION_SAMPLE = 2000
"""Training images that the mean and standard deviation are taken from."""


class PathList(Sequence[str]):
    """Many paths as one block of bytes: a tenth of what a list of strings takes.

    The bytes are those of the file system, which need not be text.
    """

    def __init__(self, block: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        """Hold the paths' bytes and where each ends."""
        self.block, self.ends = block, ends

    @classmethod
    def pack(cls, paths: Sequence[str]) -> "PathList":
        """Make one of strings."""
        encoded = [os.fsencode(path) for path in paths]
        ends = np.cumsum([len(path) for path in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        """Return the number of paths."""
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        """Return one path."""
        start = self.ends[index - 1] if index else 0
        return os.fsdecode(self.block[start : self.ends[index]].tobytes())


class FileSplit:
    """A split whose images are read from their files when asked for (see `Split`)."""

    def __init__(self, root: Path, paths: PathList, labels: Labels, geometry: Geometry) -> None:
        """Read images below `root`, brought to one size by `geometry`."""
        self.root = root
        self.paths = paths
        self.labels = labels
        self.geometry = geometry

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def open(self, index: int) -> Image.Image:
        """Return one image in RGB, at its own size.

        Raises:
            UserError: if its file is gone or cannot be read.
        """
        path = self.root / self.paths[int(index)]
        try:
            return open_rgb(read_image_file(path))
        except UnreadableImage as error:
            raise UserError(
                f"{path} cannot be read ({error}): bring the images back to where they were when "
                "the data set was prepared, or prepare it again"
            ) from error

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return one image at the data set's size, shape (3, H, W)."""
        return to_array(self.geometry.apply(self.open(index)))

    def images(self, indices: NDArray[np.integer] | None = None) -> Images:
        """Return the images at `indices` (default: all), shape (n, 3, H, W), in [0, 1]."""
        chosen = np.arange(len(self)) if indices is None else np.asarray(indices)
        batches = [images for images, _ in self.batches(64, chosen)]
        return np.concatenate(batches) if batches else self._stack([])

    def batches(
        self, batch_size: int, indices: NDArray[np.integer] | None = None
    ) -> Iterator[tuple[Images, Labels]]:
        """Yield (images, labels) in the order of `indices` (default: all).

        Threads read the next batch while one is used: memory holds two, whatever the split's size.
        """
        order = np.arange(len(self)) if indices is None else np.asarray(indices)
        chunks = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        with ThreadPoolExecutor(max(1, configured_workers())) as pool:
            pending = [pool.submit(self.pixels, index) for index in (chunks[0] if chunks else ())]
            for position, chunk in enumerate(chunks):
                ready = [future.result() for future in pending]
                following = chunks[position + 1] if position + 1 < len(chunks) else ()
                pending = [pool.submit(self.pixels, index) for index in following]
                yield self._stack(ready), self.labels[chunk]

    def first(self, count: int) -> "FileSplit":
        """Return a split of the first `count` images, or of all if there are not more."""
        paths = PathList(self.paths.block, self.paths.ends[:count])
        return FileSplit(self.root, paths, self.labels[:count], self.geometry)

    def _stack(self, pixels: Sequence[NDArray[np.uint8]]) -> Images:
        if not pixels:
            return np.empty((0, *self.pixels(0).shape), np.float32)
        return np.stack(pixels).astype(np.float32) / np.float32(255)


class ManifestDataset(StoredDataset):
    """A data set read through a manifest (see `squeezed.data.dataset.Dataset`)."""

    def __init__(
        self, path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        """Take what `read_dataset_file` returned for `path`."""
        super().__init__(path, header)
        height, width = header["image_size"]
        self.image_size: tuple[int, int] = (height, width)
        root, geometry = user_path(header["root"]), Geometry(**header["geometry"])
        self.train, self.validation, self.test = (
            FileSplit(
                root,
                PathList(arrays[f"{split}_paths"], arrays[f"{split}_ends"]),
                arrays[f"{split}_labels"],
                geometry,
            )
            for split in SPLITS
        )


def write_manifest(
    path: str | Path,
    *,
    name: str,
    root: Path,
    class_names: list[str],
    splits: Mapping[str, tuple[Sequence[str], Labels]],
    geometry: Geometry,
    digest: str,
    source: Mapping[str, Any],
    normalisation: tuple[list[float], list[float]] | None = None,
) -> None:
    """Write a manifest, whole or not at all; the same content gives the same bytes.

    Args:
        path: the safetensors file.
        name: the data set's name.
        root: the folder that the paths are below.
        class_names: one for each label, in order.
        splits: `train`, `validation` and `test`, each as paths and labels of shape (n,).
        geometry: what brings images to one size.
        digest: of the images.
        source: where the images come from (names and checksums, no path of a machine).
        normalisation: mean and standard deviation of each channel; default: those of a sample of
            the training images.
    """
    packed = {s: (PathList.pack(paths), labels) for s, (paths, labels) in splits.items()}
    train = FileSplit(root, *packed["train"], geometry)
    mean, std = normalisation or _sampled_normalisation(train, name)
    header = {
        "name": name,
        "digest": digest,
        "root": root.as_posix(),
        "class_names": list(class_names),
        "geometry": {"resize": geometry.resize, "crop": geometry.crop},
        "preprocessing": geometry.facts(),
        "image_size": list(train.pixels(0).shape[1:]),
        "mean": mean,
        "std": std,
        "source": dict(source),
    }
    tensors: dict[str, NDArray[Any]] = {}
    for split in SPLITS:
        paths, labels = packed[split]
        tensors[f"{split}_paths"], tensors[f"{split}_ends"] = paths.block, paths.ends
        tensors[f"{split}_labels"] = np.ascontiguousarray(labels, dtype=np.int64)
    write_dataset_file(path, KIND, header, tensors)


def _sampled_normalisation(split: FileSplit, name: str) -> pixel_statistics.Normalisation:
    """Return mean and standard deviation of each channel over a seeded sample."""
    generator = np.random.default_rng(0)
    count = min(len(split), NORMALISATION_SAMPLE)
    chosen = np.sort(generator.choice(len(split), count, replace=False))
    return pixel_statistics.of_batches((images for images, _ in split.batches(64, chosen)), name)
