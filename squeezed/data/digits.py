"""scikit-learn's handwritten digits: 1,797 real images, with nothing to download."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from squeezed.data.dataset import Labels

IMAGE_SIZE = 32
BRIGHTEST = 16  # of the 8×8 originals: each pixel counts the dark ones of 4×4


def read_digits() -> tuple[NDArray[np.uint8], Labels]:
    """Return the images, (1797, 3, 32, 32), and their digits, (1797,).

    The 8×8 originals (UCI, Alpaydin & Kaynak 1998) are enlarged bilinearly; the three channels are
    equal.
    """
    digits = load_digits()
    grey = np.round(digits.images * (255 / BRIGHTEST)).astype(np.uint8)
    enlarged = np.stack([_enlarge(image) for image in grey])
    return np.repeat(enlarged[:, None], 3, axis=1), digits.target.astype(np.int64)


def _enlarge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
