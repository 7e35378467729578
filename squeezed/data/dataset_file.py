"""The file of a prepared data set: arrays, and one header that says what they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from squeezed.foundation.files import atomic_path


class StoredDataset:
    """What the header says of a data set of any kind (see `squeezed.data.dataset.Dataset`)."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Take the fields from the header of the file at `path`."""
        self.path = path
        self.name: str = header["name"]
        self.digest: str = header["digest"]
        self.class_names: list[str] = header["class_names"]
        self.mean: list[float] = header["mean"]
        self.std: list[float] = header["std"]
        self.preprocessing: dict[str, Any] = header["preprocessing"]
        self.source: dict[str, Any] = header["source"]


def write_dataset_file(
    path: str | Path, kind: str, header: Mapping[str, Any], arrays: dict[str, NDArray[Any]]
) -> None:
    """Write a data set's file, whole or not at all; the same content gives the same bytes.

    Args:
        path: the safetensors file.
        kind: which class reads it.
        header: JSON values, those that `StoredDataset` takes among them.
        arrays: by name.
    """
    with atomic_path(path) as temporary:
        # One metadata key: safetensors writes several in no fixed order.
        save_file(arrays, temporary, metadata={kind: json.dumps(header, sort_keys=True)})


def read_dataset_file(path: str | Path) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the kind, the header and the arrays of a data set's file.

    Raises:
        OSError: if it cannot be read.
        SafetensorError: if it is no safetensors file.
        ValueError: if its header is missing or no JSON.
    """
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if len(metadata) != 1:
            raise ValueError("it has no header")
        ((kind, header),) = metadata.items()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it cannot be iterated)
        return kind, json.loads(header), arrays
