"""Does a network know how sure it may be? Calibration errors, before and after temperature scaling.

Loads no torch.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.files import atomic_path
from squeezed.statistics.intervals import normal_interval
from squeezed.statistics.temperature import (
    Logits,
    fit_temperature,
    log_probabilities,
    probabilities,
)

BINS = 15
"""Of Guo et al. 2017."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Bin:
    """One bar of a reliability diagram."""

    images: int
    confidence: float
    """Mean over its images."""
    accuracy: float


def reliability(confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """Return the reliability diagram of `bins` equally wide bins of the confidence, (0, 1/bins], …

    Args:
        confidence: shape (n,), the probability of the predicted class.
        correct: shape (n,), whether it is right.
        bins: how many; empty ones are among them.
    """
    return _bins(_equal_width(confidence, bins), confidence, correct, bins)


def expected_calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS
) -> float:
    """Return the mean distance of confidence and accuracy over equally wide bins (Guo 2017)."""
    return _error(reliability(confidence, correct, bins))


def adaptive_calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS
) -> float:
    """Return the same over bins of equally many images (Nguyen & O'Connor 2015)."""
    bins = min(bins, len(confidence))
    return _error(_bins(_equal_mass(confidence, bins), confidence, correct, bins))


def brier_scores(p: Floats, labels: Integers) -> Floats:
    """Return each image's squared distance from its label's indicator, in [0, 2] (Brier 1950)."""
    of_label = p[np.arange(len(p)), labels]
    return (p**2).sum(axis=1) - 2 * of_label + 1


def negative_log_likelihoods(logits: Logits, labels: Integers, temperature: float = 1.0) -> Floats:
    """Return each image's −log probability of its label, in nats."""
    return 0.0 - log_probabilities(logits, temperature)[np.arange(len(labels)), labels]


def calibration_metrics(
    logits: Logits, labels: Integers, held_out: tuple[Logits, Integers] | None
) -> dict[str, Any]:
    """Return how well a network knows what it knows, as it is and with its temperature scaled.

    Args:
        logits: shape (n, classes), of the test images.
        labels: shape (n,).
        held_out: logits and labels of the validation images, which the temperature is fitted on;
            None where there are none, and nothing is scaled.

    Returns:
        `expected_calibration_error` and the like, with intervals over the images of this network;
        `…_scaled` are those at `temperature`, None without validation images.
    """
    found = _metrics(logits, labels, 1.0, "")
    temperature = None
    if held_out is not None and len(held_out[1]):
        temperature = fit_temperature(*held_out)
        found |= _metrics(logits, labels, temperature, "_scaled")
    else:
        found |= {f"{name}_scaled": None for name in list(found)}
    return {
        **found,
        "temperature": temperature,
        "temperature_images": 0 if held_out is None else len(held_out[1]),
    }


def write_reliability(
    path: str | Path, logits: Logits, labels: Integers, temperature: float | None
) -> None:
    """Write the reliability diagrams, as it is and scaled: one line for each bin."""
    correct = logits.argmax(axis=1) == labels
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scaled", "low", "high", "n_images", "confidence", "accuracy"])
        for scaled, value in ((0, 1.0), (1, temperature)):
            if value is None:
                continue
            bars = reliability(probabilities(logits, value).max(axis=1), correct)
            for index, bar in enumerate(bars):
                ends = [f"{(index + end) / BINS:.6f}" for end in (0, 1)]
                known = [f"{bar.confidence:.6f}", f"{bar.accuracy:.6f}"] if bar.images else ["", ""]
                writer.writerow([scaled, *ends, bar.images, *known])


def _metrics(logits: Logits, labels: Integers, temperature: float, ending: str) -> dict[str, Any]:
    p = probabilities(logits, temperature)
    confidence, correct = p.max(axis=1), logits.argmax(axis=1) == labels
    gap = float(confidence.mean() - correct.mean())
    found: dict[str, Any] = {f"overconfidence{ending}": gap}
    for name, place in (("expected", _equal_width), ("adaptive", _equal_mass)):
        bins = min(BINS, len(labels))
        places = place(confidence, bins)
        error = _error(_bins(places, confidence, correct, bins))
        half = 1.96 * _error_spread(places, confidence - correct, bins)
        key = f"{name}_calibration_error{ending}"
        found |= {key: error, f"{key}_low": max(0.0, error - half), f"{key}_high": error + half}
    for key, scores in (
        (f"brier_score{ending}", brier_scores(p, labels)),
        (
            f"negative_log_likelihood{ending}",
            negative_log_likelihoods(logits, labels, temperature),
        ),
    ):
        found[key] = float(scores.mean())
        if len(scores) > 1:
            low, high = normal_interval(scores)
            found |= {f"{key}_low": max(0.0, low), f"{key}_high": high}
    return found


def _equal_width(confidence: Floats, bins: int) -> Integers:
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _equal_mass(confidence: Floats, bins: int) -> Integers:
    places = np.empty(len(confidence), dtype=np.int64)
    places[np.argsort(confidence, kind="stable")] = (
        np.arange(len(confidence)) * bins // len(confidence)
    )
    return places


def _bins(places: Integers, confidence: Floats, correct: NDArray[np.bool_], bins: int) -> list[Bin]:
    counts = np.bincount(places, minlength=bins)
    shares = [
        np.bincount(places, weights=values, minlength=bins) / np.maximum(counts, 1)
        for values in (confidence, correct.astype(np.float64))
    ]
    return [Bin(int(n), float(c), float(a)) for n, c, a in zip(counts, *shares, strict=True)]


def _error(bars: list[Bin]) -> float:
    n = sum(bar.images for bar in bars)
    return sum(bar.images * abs(bar.confidence - bar.accuracy) for bar in bars) / n


def _error_spread(places: Integers, gaps: Floats, bins: int, resamples: int = 300) -> float:
    """Return the standard deviation of the error when the images are drawn anew (bootstrap)."""
    generator = np.random.default_rng(0)
    n = len(gaps)
    errors = []
    for _ in range(resamples):
        drawn = generator.integers(0, n, n)
        sums = np.bincount(places[drawn], weights=gaps[drawn], minlength=bins)
        errors.append(np.abs(sums).sum() / n)
    return float(np.std(errors))
