"""Two models' answers to the same images: what changed, in numbers for each image.

Only a few numbers are kept of each image, whatever the number of classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from squeezed.comparison.pictures import Pictures
from squeezed.foundation.progress import track
from squeezed.graphs.foreign.model import ForeignModel

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BATCH_PIXELS = 32 * 224 * 224
"""Of the images that are in memory together."""


@dataclass
class Answers:
    """What both models say of each image, each of shape (n,)."""

    labels: Integers | None
    original: Integers
    """Predicted class; the first of those that tie."""
    compressed: Integers
    original_ties: NDArray[np.bool_]
    """Whether its highest answer is that of two classes or more."""
    compressed_ties: NDArray[np.bool_]
    original_confidence: Floats
    """Largest softmax probability."""
    compressed_confidence: Floats
    divergence: Floats
    """Kullback–Leibler divergence of the compressed from the original, in nats."""

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Whether the prediction is another."""
        return self.original != self.compressed

    def kinds(self) -> NDArray[np.str_]:
        """Return for each image `same`, or how it changed: `broken`, `fixed`, `other wrong`.

        Without labels a change is `changed`.
        """
        kinds = np.where(self.changed, "changed", "same").astype("<U11")
        if self.labels is not None:
            before, after = self.original == self.labels, self.compressed == self.labels
            kinds[self.changed] = "other wrong"
            kinds[before & ~after], kinds[~before & after] = "broken", "fixed"
        return kinds


def answers_of(
    original: ForeignModel, compressed: ForeignModel, pictures: Pictures, description: str
) -> Answers:
    """Ask both models about all images, a batch at a time.

    Raises:
        UserError: if an image cannot be read, or the models do not have the same classes.
    """
    columns = [
        _numbers(original.logits(images), compressed.logits(images))
        for images in _batches(original.size, pictures, description)
    ]
    first, second, ties_1, ties_2, sure_1, sure_2, kl = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    return Answers(
        labels=pictures.labels,
        original=first.astype(np.int64),
        compressed=second.astype(np.int64),
        original_ties=ties_1.astype(np.bool_),
        compressed_ties=ties_2.astype(np.bool_),
        original_confidence=sure_1.astype(np.float64),
        compressed_confidence=sure_2.astype(np.float64),
        divergence=kl.astype(np.float64),
    )


@dataclass
class OwnAnswers:
    """What one model says of each image, each of shape (n,)."""

    labels: Integers | None
    predictions: Integers
    """The first of the classes that tie."""
    ties: NDArray[np.bool_]
    confidence: Floats


def own_answers_of(model: ForeignModel, pictures: Pictures, description: str) -> OwnAnswers:
    """Ask a model about all images, a batch at a time.

    Raises:
        UserError: if an image cannot be read.
    """
    columns = []
    for images in _batches(model.size, pictures, description):
        logits = model.logits(images)
        sure = np.exp(_log_softmax(logits)).max(axis=1)
        columns.append((logits.argmax(axis=1), _ties(logits), sure))
    predictions, ties, confidence = map(np.concatenate, zip(*columns, strict=True))
    return OwnAnswers(pictures.labels, predictions.astype(np.int64), ties, confidence)


def _batches(
    size: tuple[int, int], pictures: Pictures, description: str
) -> Iterator[NDArray[np.float32]]:
    height, width = size
    batch_size = int(np.clip(BATCH_PIXELS // (height * width), 1, 256))
    with track(range(len(pictures)), description, total=len(pictures)) as bar:
        for indices, images in pictures.batches(batch_size):
            yield images
            bar.update(len(indices))


def _numbers(
    original: NDArray[np.float32], compressed: NDArray[np.float32]
) -> tuple[NDArray[np.generic], ...]:
    log_p, log_q = _log_softmax(original), _log_softmax(compressed)
    p = np.exp(log_p)
    return (
        original.argmax(axis=1),
        compressed.argmax(axis=1),
        _ties(original),
        _ties(compressed),
        p.max(axis=1),
        np.exp(log_q).max(axis=1),
        (p * (log_p - log_q)).sum(axis=1).clip(min=0),
    )


def _ties(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray((logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1)


def _log_softmax(logits: NDArray[np.float32]) -> Floats:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
