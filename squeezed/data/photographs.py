"""Parts of the two photographs that scikit-learn carries: images of no class of any data set."""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from squeezed.data.dataset import Labels

IMAGE_SIZE = 32
CLASS_NAMES = ["china", "flower"]
TRAIN, TEST = 40, 400


def read_photographs(seed: int) -> dict[str, tuple[NDArray[np.uint8], Labels]]:
    """Return parts of 32×32 pixels at random places, which photograph each is of as its label.

    Args:
        seed: of the places.

    Returns:
        `train` (40) and `test` (400): images of shape (n, 3, 32, 32), labels of shape (n,).
    """
    generator = np.random.default_rng(seed)
    photographs = load_sample_images().images
    splits = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        labels = np.arange(count) % len(photographs)
        parts = []
        for label in labels:
            height, width, _ = photographs[label].shape
            top = generator.integers(height - IMAGE_SIZE + 1)
            left = generator.integers(width - IMAGE_SIZE + 1)
            part = photographs[label][top : top + IMAGE_SIZE, left : left + IMAGE_SIZE]
            parts.append(part.transpose(2, 0, 1))
        splits[split] = np.stack(parts), labels.astype(np.int64)
    return splits
