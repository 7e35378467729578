"""The images on which compression changes what networks say, beyond what a new seed changes.

A single network's flips mix both. Over seeds, Hooker et al. (2020) call an image
compression-identified where the compressed networks' most frequent prediction is not the
baselines'. The control is the churn between baselines of different seeds. Loads no torch.
"""

import csv
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.files import atomic_path
from squeezed.statistics.crossed import crossed_share
from squeezed.statistics.intervals import wilson_interval

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Votes:
    """What the networks of all seeds say about each image."""

    prediction: Integers
    """The most frequent one, shape (n,); of equally frequent ones that of the smallest label."""
    agreement: NDArray[np.float64]
    """The share of seeds that say so, shape (n,)."""


def votes(predictions: Integers) -> Votes:
    """Count the predictions of several seeds, shape (seeds, n)."""
    classes = int(predictions.max()) + 1
    counts = np.stack([(predictions == label).sum(axis=0) for label in range(classes)])
    return Votes(counts.argmax(axis=0), counts.max(axis=0) / len(predictions))


def churn(first: Integers, second: Integers | None = None) -> float:
    """Return the share of predictions that differ between networks of different seeds.

    Args:
        first: predictions, shape (seeds, n), at least two seeds.
        second: of other networks; the same ones where it is left out.
    """
    other = first if second is None else second
    pairs = list(itertools.permutations(range(len(first)), 2))
    return float(np.mean([(first[i] != other[j]).mean() for i, j in pairs]))


def compare_seeds(
    labels: Integers, predictions: Mapping[str, Integers], baseline: str
) -> dict[str, Any]:
    """Return for each variant its exemplars, and its flips beside the churn between seeds.

    Args:
        labels: shape (n,).
        predictions: for each variant, shape (seeds, n), at least two seeds, in the same order.
        baseline: the variant that the others are compared with.

    Returns:
        `n_images`, `n_seeds`, `seed_churn` of the baseline, and under `variants` the figures of
        each other one.
    """
    base = predictions[baseline]
    voted = votes(base)
    figures: dict[str, dict[str, Any]] = {}
    for name, own in predictions.items():
        if name == baseline:
            continue
        vote = votes(own).prediction
        found = voted.prediction != vote
        low, high = wilson_interval(int(found.sum()), len(labels))
        flipped = crossed_share((own != base).astype(np.float64))
        figures[name] = {
            "exemplars": int(found.sum()),
            "exemplar_share": float(found.mean()),
            "exemplar_share_low": low,
            "exemplar_share_high": high,
            "exemplars_baseline_accuracy": _share(voted.prediction == labels, found),
            "exemplars_variant_accuracy": _share(vote == labels, found),
            "other_images_baseline_accuracy": _share(voted.prediction == labels, ~found),
            "flipped_share": flipped.value,
            "flipped_share_low": flipped.low,
            "flipped_share_high": flipped.high,
            "seed_churn": churn(own),
        }
    return {
        "n_images": len(labels),
        "n_seeds": len(base),
        "seed_churn": churn(base),
        "variants": figures,
    }


def write_exemplars(
    path: str | Path, labels: Integers, predictions: Mapping[str, Integers], baseline: str
) -> None:
    """Write one line for each compression-identified image of each variant."""
    base = votes(predictions[baseline])
    columns = ["variant", "index", "label", "baseline_prediction", "prediction"]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, "baseline_agreement", "agreement"])
        for name, own in predictions.items():
            vote = votes(own)
            for index in np.flatnonzero(vote.prediction != base.prediction):
                said = (labels[index], base.prediction[index], vote.prediction[index])
                sure = (base.agreement[index], vote.agreement[index])
                writer.writerow([name, index, *said, *(f"{value:.4f}" for value in sure)])


def _share(values: NDArray[np.bool_], where: NDArray[np.bool_]) -> float | None:
    return float(values[where].mean()) if where.any() else None
