"""Whether another usual preprocessing suits a model clearly better than the one that was said."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from squeezed.comparison.pictures import Pictures
from squeezed.graphs.foreign.model import ForeignModel, in_channels
from squeezed.graphs.foreign.preprocessing import Preprocessing, usual_preprocessings
from squeezed.statistics.intervals import paired_proportion_interval

IMAGES = 200
PARTS = 4
"""What is right less often than the said one on the first of so many parts is tried no further."""
BATCH = 20
LEVEL = 0.01
"""Chance of a false warning, over all preprocessings that are tried."""


@dataclass(frozen=True)
class PreprocessingCheck:
    """What was tried and what came out."""

    images: int
    said: Preprocessing
    accuracy: float
    """With the one that was said."""
    accuracies: list[tuple[Preprocessing, float]]
    """Of each that was tried, on the images that it was tried on."""
    better: Preprocessing | None
    """The best of those that are clearly better."""
    better_accuracy: float | None

    def sentence(self) -> str | None:
        """Return the warning; None where none is due."""
        if self.better is None:
            return None
        return (
            f"The preprocessing is probably another: {self.better.in_words()} is right on "
            f"{self.better_accuracy:.1%} of {self.images} images, {self.said.in_words()} on "
            f"{self.accuracy:.1%}."
        )


def checked_on_some(
    model: ForeignModel, pictures: Pictures
) -> tuple[NDArray[np.float32], PreprocessingCheck | None]:
    """Check a model on at most `IMAGES` images, spread evenly over all.

    Returns:
        Those images, and what came out: None without labels.
    """
    chosen = np.unique(np.linspace(0, len(pictures) - 1, IMAGES).astype(int))
    some = pictures.images(chosen)
    if pictures.labels is None:
        return some, None
    return some, check_preprocessing(model, some, pictures.labels[chosen])


def check_preprocessing(
    model: ForeignModel, images: NDArray[np.float32], labels: NDArray[np.int64]
) -> PreprocessingCheck:
    """Try the usual preprocessings on labelled images.

    One is clearly better where the interval of the paired difference of its accuracy lies above
    zero, at a level that counts how many are tried.

    Args:
        model: with the preprocessing that was said.
        images: shape (n, C, H, W), in [0, 1].
        labels: shape (n,).
    """
    signature = model.core.signature
    tried = [
        p
        for p in usual_preprocessings(signature.channels, signature.whole_numbers)
        if p != model.preprocessing
    ]
    seen = in_channels(images, signature.channels)
    # Images lie by class: each part has some of all.
    order = np.argsort(np.arange(len(labels)) % PARTS, kind="stable")
    seen, labels, few = seen[order], labels[order], -(-len(labels) // PARTS)
    said = _right(model, model.preprocessing, seen, labels)
    confidence = 1 - LEVEL / max(1, len(tried))
    best: tuple[Preprocessing, float] | None = None
    accuracies = []
    for preprocessing in tried:
        right = _right(model, preprocessing, seen[:few], labels[:few])
        if right.sum() < said[:few].sum():
            accuracies.append((preprocessing, float(right.mean())))
            continue
        rest = _right(model, preprocessing, seen[few:], labels[few:])
        right = np.concatenate([right, rest])
        accuracy = float(right.mean())
        accuracies.append((preprocessing, accuracy))
        gained, lost = int((right & ~said).sum()), int((said & ~right).sum())
        low, _ = paired_proportion_interval(gained, lost, len(labels), confidence)
        if low > 0 and (best is None or accuracy > best[1]):
            best = preprocessing, accuracy
    return PreprocessingCheck(
        images=len(labels),
        said=model.preprocessing,
        accuracy=float(said.mean()),
        accuracies=accuracies,
        better=None if best is None else best[0],
        better_accuracy=None if best is None else best[1],
    )


def _right(
    model: ForeignModel,
    preprocessing: Preprocessing,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> NDArray[np.bool_]:
    parts = [
        model.core.run(preprocessing.apply(images[k : k + BATCH]))[:, model.outputs.order]
        for k in range(0, len(images), BATCH)
    ]
    if not parts:
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(np.concatenate(parts).argmax(axis=1) == labels)
