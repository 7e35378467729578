"""Data sets: where they come from, how they are stored, and the one interface to read them."""

from pathlib import Path

from safetensors import SafetensorError

from squeezed.data import manifest, tensor_file
from squeezed.data.dataset import Dataset, Split, choose_indices, choose_stratified
from squeezed.data.dataset_file import read_dataset_file
from squeezed.foundation.errors import UserError

__all__ = ["Dataset", "Split", "choose_indices", "choose_stratified", "open_dataset"]

DATASETS: dict[str, type[tensor_file.TensorDataset | manifest.ManifestDataset]] = {
    tensor_file.KIND: tensor_file.TensorDataset,
    manifest.KIND: manifest.ManifestDataset,
}
"""What reads each kind of file."""


def open_dataset(path: str | Path) -> Dataset:
    """Open a prepared data set: a tensor file or a manifest; what comes after need not know which.

    Raises:
        squeezed.foundation.errors.UserError: if the file is not a data set.
    """
    try:
        kind, header, arrays = read_dataset_file(path)
        return DATASETS[kind](Path(path), header, arrays)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise UserError(
            f"{path} is not a data set file ({error}); delete it and run the workflow again"
        ) from error
