"""Whom compression harms: the change of each class's recall (Hooker 2019). Loads no torch."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.files import atomic_path
from squeezed.statistics.comparisons import LEVEL, holm
from squeezed.statistics.intervals import mcnemar_p_value, paired_proportion_interval

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ClassChange:
    """What became of one class, variant − baseline, on the same test images."""

    name: str
    n_images: int
    correct: int
    baseline_correct: int
    flipped_predictions: int
    recall_change: float
    low: float
    high: float
    """95 % interval for all classes together (Bonferroni's: each at 1 − 0.05 / classes)."""
    p_value: float
    """Exact McNemar test, corrected for all classes (Holm)."""


def class_changes(
    class_names: Sequence[str], labels: Integers, predictions: Integers, baseline: Integers
) -> list[ClassChange]:
    """Compare the predictions of a variant and of the baseline class by class.

    Args:
        class_names: by label; classes without a test image are left out.
        labels, predictions, baseline: shape (n,).
    """
    present = [label for label in range(len(class_names)) if (labels == label).any()]
    right, was_right = predictions == labels, baseline == labels
    own = [labels == label for label in present]
    p_values = holm(np.array([mcnemar_p_value(was_right[of], right[of]) for of in own]))
    changes = []
    for label, of, p_value in zip(present, own, p_values, strict=True):
        n = int(of.sum())
        gained, lost = int((right & ~was_right)[of].sum()), int((was_right & ~right)[of].sum())
        low, high = paired_proportion_interval(gained, lost, n, 1 - LEVEL / len(present))
        changes.append(
            ClassChange(
                name=class_names[label],
                n_images=n,
                correct=int(right[of].sum()),
                baseline_correct=int(was_right[of].sum()),
                flipped_predictions=int((predictions != baseline)[of].sum()),
                recall_change=(gained - lost) / n,
                low=low,
                high=high,
                p_value=float(p_value),
            )
        )
    return changes


def class_metrics(changes: Sequence[ClassChange]) -> dict[str, Any]:
    """Return what became of the worst class, and how many are better or worse beyond chance.

    Which class is the worst was looked for: its interval and p-value hold for all classes together.
    Where none fell it has no name.
    """
    worst = min(changes, key=lambda change: change.recall_change)
    beyond_chance = [change for change in changes if change.p_value < LEVEL]
    return {
        "classes_compared": len(changes),
        "classes_worse": sum(change.recall_change < 0 for change in beyond_chance),
        "classes_better": sum(change.recall_change > 0 for change in beyond_chance),
        "worst_class": worst.name if worst.recall_change < 0 else None,
        "worst_class_images": worst.n_images,
        "worst_class_recall": worst.correct / worst.n_images,
        "worst_class_recall_change": worst.recall_change,
        "worst_class_recall_change_low": worst.low,
        "worst_class_recall_change_high": worst.high,
        "worst_class_p_value": worst.p_value,
        "lowest_recall": min(change.correct / change.n_images for change in changes),
    }


def write_classes(path: str | Path, changes: Sequence[ClassChange]) -> None:
    """Write one line for each class, whole or not at all."""
    columns = [
        "class",
        "n_images",
        "correct",
        "baseline_correct",
        "flipped_predictions",
        "recall_change",
        "recall_change_low",
        "recall_change_high",
        "p_value",
    ]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for change in changes:
            counts = (change.correct, change.baseline_correct, change.flipped_predictions)
            figures = (change.recall_change, change.low, change.high, change.p_value)
            writer.writerow(
                [change.name, change.n_images, *counts, *(f"{value:.6g}" for value in figures)]
            )
