"""CIFAR-10 in its official format: a tar archive of Python pickles, read without running code."""

import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.data.dataset import Labels
from squeezed.foundation.errors import UserError, first_line

ARCHIVE = "cifar-10-python.tar.gz"
FOLDER = "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
META = "batches.meta"

Part = tuple[NDArray[np.uint8], Labels]


def read_cifar10(archive: Path) -> tuple[Part, Part, list[str]]:
    """Read the official archive.

    Returns:
        ((images, labels) for training, the same for testing, class names); images have shape
        (n, 3, 32, 32).

    Raises:
        UserError: if the archive is truncated, lacks a batch, or holds what batches do not need.
    """
    wanted = {f"{FOLDER}/{name}" for name in (*TRAIN_BATCHES, TEST_BATCH, META)}
    contents: dict[str, Any] = {}
    try:
        with tarfile.open(archive, mode="r|*") as tar:
            for member in tar:
                if member.name in wanted and (file := tar.extractfile(member)):
                    contents[Path(member.name).name] = load_batch(file.read())
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserError(
            f"{archive} is truncated or no tar archive ({first_line(error)})"
        ) from error
    except (pickle.UnpicklingError, ValueError, IndexError) as error:
        raise UserError(f"{archive} holds a batch that cannot be read: {error}") from error
    missing = sorted(wanted - {f"{FOLDER}/{name}" for name in contents})
    if missing:
        raise UserError(f"{archive} lacks {missing[0]}: it is not CIFAR-10's official archive")
    try:
        train = [_images_and_labels(contents[name]) for name in TRAIN_BATCHES]
        test = _images_and_labels(contents[TEST_BATCH])
        class_names = [_text(name) for name in _field(contents[META], "label_names")]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{archive} holds a batch that is not CIFAR-10's ({error})") from error
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return (images, labels), test, class_names


def load_batch(content: bytes) -> Any:
    """Unpickle what CIFAR-10's batches are made of: dictionaries, lists, numbers, text, arrays.

    Raises:
        pickle.UnpicklingError: if the pickle asks for anything else.
    """
    return _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()


class _BatchUnpickler(pickle.Unpickler):
    """Admits what it takes to make an array of numbers, and nothing that runs code."""

    ADMITTED = frozenset(
        {
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("_codecs", "encode"),  # how Python 3 writes bytes in old pickles
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Refuse all but the admitted names."""
        if (module, name) not in self.ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        # Today's name of the module, whatever version of numpy wrote the batch.
        module = "numpy._core.multiarray" if name == "_reconstruct" else module
        return super().find_class(module, name)


def _images_and_labels(batch: dict[Any, Any]) -> Part:
    pixels = np.asarray(_field(batch, "data"), dtype=np.uint8)
    labels = np.asarray(_field(batch, "labels"), dtype=np.int64)
    images = pixels.reshape(len(labels), 3, 32, 32)
    return images, labels


def _field(batch: dict[Any, Any], name: str) -> Any:
    """Return a field whose name Python 2 wrote as bytes, or Python 3 as text."""
    return batch[name.encode()] if name.encode() in batch else batch[name]


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
