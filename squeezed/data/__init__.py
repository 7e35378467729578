"""Data sets: where they come from, how they are stored, and the one interface to read them."""

from pathlib import Path

from squeezed.data.dataset import Dataset, Split, choose_indices
from squeezed.data.tensor_file import TensorDataset

__all__ = ["Dataset", "Split", "choose_indices", "open_dataset"]


def open_dataset(path: str | Path) -> Dataset:
    """Open a prepared data set: a tensor file (`.safetensors`).

    Raises:
        squeezed.errors.UserError: if the file is not a data set.
    """
    return TensorDataset(path)
