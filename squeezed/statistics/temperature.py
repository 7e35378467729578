"""Temperature scaling: one number that makes a network's probabilities mean what they say.

Guo et al. 2017. Loads no torch.
"""

import numpy as np
from numpy.typing import NDArray

SHARPEST = 30.0
"""No temperature makes the spread of the logits larger than this, or smaller than its inverse.

Where all validation images are right, the likelihood grows for ever as the temperature falls.
"""

Floats = NDArray[np.float64]
Logits = NDArray[np.floating]
Integers = NDArray[np.int64]


def probabilities(logits: Logits, temperature: float = 1.0) -> Floats:
    """Return softmax(logits / temperature), shape (n, classes)."""
    return np.exp(log_probabilities(logits, temperature))


def log_probabilities(logits: Logits, temperature: float = 1.0) -> Floats:
    """Return log softmax(logits / temperature), shape (n, classes), in nats."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))


def fit_temperature(logits: Logits, labels: Integers) -> float:
    """Return the temperature of the largest likelihood (Guo et al. 2017), within `SHARPEST`.

    The likelihood is concave in the inverse temperature, so bisection finds it. Of logits times k
    the temperature is k times as large.

    Args:
        logits: shape (n, classes), of images that no figure is read from.
        labels: shape (n,).
    """
    centred = np.asarray(logits, dtype=np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    spread = float(np.sqrt((centred**2).mean()))
    if spread == 0:
        return 1.0
    centred /= spread
    # Differences: where all images are right, the probabilities of the others are all that is left.
    over_label = centred - centred[np.arange(len(labels)), labels][:, None]

    def slope(inverse: float) -> float:
        return float((probabilities(centred * inverse) * over_label).sum())

    low, high = np.log(1 / SHARPEST), np.log(SHARPEST)
    for _ in range(50):
        middle = (low + high) / 2
        if slope(float(np.exp(middle))) < 0:  # a sharper one is likelier
            low = middle
        else:
            high = middle
    return spread / float(np.exp((low + high) / 2))
