"""SVHN (cropped digits) in its official format: MATLAB files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squeezed.data.dataset import Labels
from squeezed.foundation.errors import UserError, first_line

FILES = {
    "train": "train_32x32.mat",
    "test": "test_32x32.mat",
    "extra": "extra_32x32.mat",
}


def read_svhn(path: Path) -> tuple[NDArray[np.uint8], Labels]:
    """Read one of the official files.

    Returns:
        Images of shape (n, 3, 32, 32), and their digits, (n,): the files' label 10 is digit 0.

    Raises:
        UserError: if the file is truncated or is not one of SVHN's.
    """
    from scipy.io import loadmat  # takes a second to import

    try:
        content = loadmat(path, variable_names=["X", "y"])
        pixels, digits = content["X"], content["y"].astype(np.int64).ravel()
    # Nothing narrower: scipy raises whatever a truncated file leads it to, IndexError for one.
    except Exception as error:
        raise UserError(
            f"{path} is truncated or not one of SVHN's files ({first_line(error)})"
        ) from error
    if pixels.dtype != np.uint8 or pixels.shape != (32, 32, 3, len(digits)):
        raise UserError(
            f"{path} is not one of SVHN's files: its images are {pixels.shape} of {pixels.dtype}"
        )
    if not np.isin(digits, range(1, 11)).all():
        raise UserError(f"{path} has labels outside of 1 to 10: it is not one of SVHN's files")
    return np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), digits % 10
