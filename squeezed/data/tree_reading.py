"""All images of a tree: into memory as one uint8 array for each split, or checked one by one."""

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squeezed.data.class_folders import ClassFolders, and_others
from squeezed.data.dataset import Labels
from squeezed.data.geometry import Geometry
from squeezed.data.image_files import (
    UnreadableImage,
    brightest_grey,
    open_rgb_and_brightest,
    read_image_file,
    to_array,
)
from squeezed.data.image_trees import ImageTree
from squeezed.foundation.errors import UserError, first_line
from squeezed.foundation.memory import available_memory
from squeezed.foundation.progress import track
from squeezed.foundation.workers import configured_workers

Part = tuple[NDArray[np.uint8], Labels]
OddOnes = dict[str, str]
"""What is odd about each file, by its name."""
_Checked = tuple[str, bytes, float | None, str]
"""A name, the SHA-256, what `brightest_grey` says, and why it cannot be read."""

COPIES = 3
"""Of all images in memory while they are prepared: as they are read, by their splits, and as the
bytes that are written."""


def read_into_memory(
    tree: ImageTree, folders: ClassFolders, geometry: Geometry
) -> tuple[dict[str, Part], str]:
    """Read all images of a tree.

    Args:
        tree: where they are.
        folders: which they are (`squeezed.data.class_folders.arrange`).
        geometry: what makes them all the same size.

    Returns:
        (images, labels) of each split, images of shape (n, 3, H, W), in the order of `folders`;
        and the SHA-256 of all file names and contents.

    Raises:
        UserError: if images cannot be read, or differ in size.
    """
    splits: dict[str, Part] = {}
    first_name, odd_sizes, unreadable = "", OddOnes(), OddOnes()
    digests: dict[str, bytes] = {}
    depth = _Depth()
    for name, split, index, read in _contents(tree, folders):
        try:
            content = read()
            image, brightest = open_rgb_and_brightest(content)
        except UnreadableImage as error:
            digests[name] = b""
            unreadable[name] = first_line(error)
            continue
        unreadable.pop(name, None)  # in an archive the last file of a name counts
        odd_sizes.pop(name, None)
        digests[name] = hashlib.sha256(content).digest()
        depth.add(name, brightest)
        pixels = to_array(geometry.apply(image))
        if not splits:
            first_name = name
            splits = _room_for(folders, pixels.shape, tree.path)
        images = splits[split][0]
        if pixels.shape != images.shape[1:]:
            odd_sizes[name] = f"{pixels.shape[2]}×{pixels.shape[1]}"
            continue
        images[index] = pixels
    _refuse_unreadable(tree.path, unreadable)
    _refuse_vanished(tree.path, folders, digests)
    if odd_sizes:
        name, size = min(odd_sizes.items())
        height, width = splits["train"][0].shape[2:]
        raise UserError(
            f"{tree.path}: {name} is {size}{and_others(len(odd_sizes) - 1)}, {first_name} is "
            f"{width}×{height}: set the data set's `resize` and `crop`, which make them one size"
        )
    depth.check(tree.path)
    return splits, _tree_digest(digests)


def check_files(root: Path, names: Sequence[str]) -> str:
    """Read every image once; return the SHA-256 of all names and contents.

    Raises:
        UserError: if images cannot be read.
    """
    unreadable = OddOnes()
    digests: dict[str, bytes] = {}
    depth = _Depth()

    def check(name: str) -> _Checked:
        try:
            content = read_image_file(root / name)
            brightest = brightest_grey(content)
        except UnreadableImage as error:
            return name, b"", None, first_line(error)
        return name, hashlib.sha256(content).digest(), brightest, ""

    checked = _in_threads(check, names)
    for name, digest, brightest, error in track(checked, "checking images", len(names)):
        digests[name] = digest
        depth.add(name, brightest)
        if error:
            unreadable[name] = error
    _refuse_unreadable(root, unreadable)
    depth.check(root)
    return _tree_digest(digests)


class _Depth:
    """Finds out that 12 bits were stored in 16: none of the grey images comes near to white."""

    DARK = 1 / 4
    """Two bits of 16 that no image uses."""

    def __init__(self) -> None:
        self.brightest, self.name = 0.0, ""

    def add(self, name: str, brightest: float | None) -> None:
        """Take note of an image's brightest value, if it is one of 16 bits."""
        if brightest is not None and (brightest > self.brightest or not self.name):
            self.brightest, self.name = brightest, name

    def check(self, where: Path) -> None:
        """Refuse a set in which images of 16 bits are all dark."""
        if self.name and self.brightest < self.DARK:
            raise UserError(
                f"{where}: the brightest of its 16-bit images, {self.name}, goes up to "
                f"{round(self.brightest * 0xFFFF)} of 65535, as where 12 bits are stored in 16: "
                "multiply all by the same number, or convert them to 8 bits"
            )


def _room_for(folders: ClassFolders, shape: tuple[int, ...], where: Path) -> dict[str, Part]:
    """Return room for all images of this shape, if the memory has it."""
    images = sum(map(len, folders.files.values()))
    needed = COPIES * images * math.prod(shape)
    available = available_memory()
    if needed > available:
        raise UserError(
            f"{where}: its {images} images of {shape[2]}×{shape[1]} need {_gigabytes(needed)} of "
            f"memory to prepare, but {_gigabytes(available)} are free: use `storage: files`, or a "
            "smaller `resize` and `crop`"
        )
    return {
        split: (np.zeros((len(files), *shape), np.uint8), _labels(files))
        for split, files in folders.files.items()
    }


def _gigabytes(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def _refuse_vanished(where: Path, folders: ClassFolders, digests: Mapping[str, bytes]) -> None:
    """Refuse a set of which a file that was listed did not come: its pixels would be anything."""
    for files in folders.files.values():
        for name, _ in files:
            if name not in digests:
                raise UserError(f"{where}: {name} was taken away while it was read: run again")


def _contents(
    tree: ImageTree, folders: ClassFolders
) -> Iterator[tuple[str, str, int, Callable[[], bytes]]]:
    """Yield (name, split, position in the split, what reads it), in the tree's own order."""
    places = {
        name: (split, index)
        for split, files in folders.files.items()
        for index, (name, _) in enumerate(files)
    }
    wanted = ((name, read) for name, read in tree.entries() if name in places)
    for name, read in track(wanted, "reading images", len(places)):
        yield name, *places[name], read


def _in_threads(function: Callable[[str], _Checked], names: Sequence[str]) -> Iterator[_Checked]:
    """Map in threads with a bounded number of calls under way (decoding releases the lock)."""
    workers = configured_workers()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        pending: list[Future[_Checked]] = []
        for name in names:
            pending.append(pool.submit(function, name))
            if len(pending) >= 8 * max(1, workers):
                yield pending.pop(0).result()
        for future in pending:
            yield future.result()


def _refuse_unreadable(where: Path, unreadable: OddOnes) -> None:
    if unreadable:
        name, reason = min(unreadable.items())
        raise UserError(
            f"{where}: {name} cannot be read as an image{and_others(len(unreadable) - 1)}: "
            f"{reason}; mend or remove what is damaged"
        )


def _labels(files: list[tuple[str, int]]) -> Labels:
    return np.array([label for _, label in files], dtype=np.int64)


def _tree_digest(digests: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(digests):
        digest.update(os.fsencode(f"{name}\n"))
        digest.update(digests[name])
    return digest.hexdigest()
