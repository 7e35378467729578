"""What a deployed model predicts, how often it is right, and where it differs from the baseline.

Loads no torch.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.evaluation.calibration import brier_scores, negative_log_likelihoods
from squeezed.foundation.files import atomic_path
from squeezed.statistics.intervals import mcnemar_p_value, wilson_interval
from squeezed.statistics.temperature import probabilities

Integers = NDArray[np.int64]


def confidences(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the largest softmax probability of each image, shape (n,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return 1 / np.exp(shifted).sum(axis=1)


def accuracy_metrics(labels: Integers, predictions: Integers, baseline: Integers) -> dict[str, Any]:
    """Compare predictions with the labels and with the baseline's, all of shape (n,)."""
    n = len(labels)
    correct = predictions == labels
    low, high = wilson_interval(int(correct.sum()), n)
    flipped = predictions != baseline
    return {
        "n_images": n,
        "top1_accuracy": float(correct.mean()),
        "top1_accuracy_low": low,
        "top1_accuracy_high": high,
        "baseline_top1_accuracy": float((baseline == labels).mean()),
        "mcnemar_p_value": mcnemar_p_value(baseline == labels, correct),
        "flipped_predictions": int(flipped.sum()),
        "flipped_share": float(flipped.mean()),
        "flipped_to_wrong": int((flipped & (baseline == labels)).sum()),
        "flipped_to_right": int((flipped & correct).sum()),
    }


def write_predictions(
    path: str | Path, labels: Integers, logits: NDArray[np.float32], baseline: Integers
) -> None:
    """Write one line for each test image, in order, whole or not at all."""
    columns = ["index", "label", "prediction", "confidence", "baseline_prediction"]
    scores = {
        "brier_score": brier_scores(probabilities(logits), labels),
        "negative_log_likelihood": negative_log_likelihoods(logits, labels),
    }
    predictions, confident = logits.argmax(axis=1), confidences(logits)
    rows = zip(labels, predictions, confident, baseline, *scores.values(), strict=True)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, *scores])
        for index, (label, prediction, confidence, other, *scored) in enumerate(rows):
            figures = (f"{value:.6f}" for value in scored)
            writer.writerow([index, label, prediction, f"{confidence:.6f}", other, *figures])
