"""Data sets: where they come from, how they are stored, and the one interface to read them."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from squeezed.data import manifest, tensor_file
from squeezed.data.dataset import Dataset, Split, choose_indices
from squeezed.errors import UserError

__all__ = ["Dataset", "Split", "choose_indices", "open_dataset"]


def open_dataset(path: str | Path) -> Dataset:
    """Open a prepared data set: a tensor file or a manifest; what comes after need not know which.

    Raises:
        squeezed.errors.UserError: if the file is not a data set.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            keys = set(file.metadata() or {})
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise UserError(
            f"{path} is not a data set file ({error}); delete it and run the workflow again"
        ) from error
    if manifest.HEADER_KEY in keys:
        return manifest.ManifestDataset(path)
    return tensor_file.TensorDataset(path)
