"""All images of a tree: into memory as one uint8 array for each split, or checked one by one."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squeezed.data.class_folders import ClassFolders, and_others
from squeezed.data.dataset import Labels
from squeezed.data.geometry import Geometry
from squeezed.data.image_files import UNREADABLE, brightest_grey, open_rgb, to_array
from squeezed.data.image_trees import ImageTree
from squeezed.foundation.errors import UserError, first_line
from squeezed.foundation.progress import track
from squeezed.foundation.workers import configured_workers

Part = tuple[NDArray[np.uint8], Labels]
Unreadable = list[tuple[str, str]]


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
    first_name, odd_sizes, unreadable = "", Unreadable(), Unreadable()
    digests: dict[str, bytes] = {}
    for name, split, index, content in _contents(tree, folders):
        digests[name] = hashlib.sha256(content).digest()
        try:
            pixels = to_array(geometry.apply(open_rgb(content)))
        except UNREADABLE as error:
            unreadable.append((name, first_line(error)))
            continue
        if not splits:
            first_name = name
            splits = {
                s: (np.empty((len(files), *pixels.shape), np.uint8), _labels(files))
                for s, files in folders.files.items()
            }
        images = splits[split][0]
        if pixels.shape != images.shape[1:]:
            odd_sizes.append((name, f"{pixels.shape[2]}×{pixels.shape[1]}"))
            continue
        images[index] = pixels
    _refuse_unreadable(tree.path, unreadable)
    if odd_sizes:
        name, size = min(odd_sizes)
        height, width = splits["train"][0].shape[2:]
        raise UserError(
            f"{tree.path}: {name} is {size}{and_others(len(odd_sizes) - 1)}, {first_name} is "
            f"{width}×{height}: set the data set's `resize` and `crop`, which make them one size"
        )
    return splits, _tree_digest(digests)


def check_files(root: Path, names: Sequence[str]) -> str:
    """Read every image once; return the SHA-256 of all names and contents.

    Raises:
        UserError: if images cannot be read.
    """
    unreadable = Unreadable()
    digests: dict[str, bytes] = {}

    def check(name: str) -> tuple[str, bytes, str]:
        try:
            content = (root / name).read_bytes()
            brightest_grey(content)
        except UNREADABLE as error:
            return name, b"", first_line(error)
        return name, hashlib.sha256(content).digest(), ""

    for name, digest, error in track(_in_threads(check, names), "checking images", len(names)):
        digests[name] = digest
        if error:
            unreadable.append((name, error))
    _refuse_unreadable(root, unreadable)
    return _tree_digest(digests)


def _contents(tree: ImageTree, folders: ClassFolders) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield (name, split, position in the split, bytes), in the tree's own order."""
    places = {
        name: (split, index)
        for split, files in folders.files.items()
        for index, (name, _) in enumerate(files)
    }
    wanted = ((name, read) for name, read in tree.entries() if name in places)
    for name, read in track(wanted, "reading images", len(places)):
        yield name, *places[name], read()


def _in_threads(
    function: Callable[[str], tuple[str, bytes, str]], names: Sequence[str]
) -> Iterator[tuple[str, bytes, str]]:
    """Map in threads with a bounded number of calls under way (decoding releases the lock)."""
    workers = configured_workers()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        pending: list[Future[tuple[str, bytes, str]]] = []
        for name in names:
            pending.append(pool.submit(function, name))
            if len(pending) >= 8 * max(1, workers):
                yield pending.pop(0).result()
        for future in pending:
            yield future.result()


def _refuse_unreadable(where: Path, unreadable: Unreadable) -> None:
    if unreadable:
        name, reason = min(unreadable)
        raise UserError(
            f"{where}: {name} cannot be read as an image{and_others(len(unreadable) - 1)}: "
            f"{reason}; mend or remove what is damaged"
        )


def _labels(files: list[tuple[str, int]]) -> Labels:
    return np.array([label for _, label in files], dtype=np.int64)


def _tree_digest(digests: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(digests):
        digest.update(f"{name}\n".encode())
        digest.update(digests[name])
    return digest.hexdigest()
