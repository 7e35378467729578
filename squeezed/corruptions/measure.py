"""What a graph predicts of corrupted images, and what compression changes there. Loads no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from squeezed.corruptions.corrupt import corrupt
from squeezed.corruptions.parameters import SMALL
from squeezed.corruptions.sampling import Images
from squeezed.data import Split, choose_indices
from squeezed.foundation.errors import UserError
from squeezed.foundation.files import atomic_path
from squeezed.foundation.progress import track
from squeezed.statistics.comparisons import LEVEL, holm
from squeezed.statistics.intervals import (
    Interval,
    normal_interval,
    normal_p_value,
    paired_proportion_interval,
    wilson_interval,
)

Integers = NDArray[np.int64]
Predict = Callable[[Images], Integers]
"""The predicted classes, shape (n,), of images in [0, 1]."""


@dataclass(frozen=True)
class CorruptionSettings:
    """The section `corruptions` of an experiment."""

    images: int
    images_seed: int
    kinds: list[str]
    severities: list[int]
    batch_size: int


@dataclass(frozen=True)
class Predictions:
    """What one graph says of the same images, clean and corrupted."""

    indices: Integers
    """Of the test images, shape (n,)."""
    labels: Integers
    clean: Integers
    corrupted: Integers
    """Shape (kinds, severities, n)."""

    def write(self, path: str | Path) -> None:
        """Write them, whole or not at all."""
        with atomic_path(path) as temporary:
            save_file({name: np.ascontiguousarray(a) for name, a in vars(self).items()}, temporary)

    @classmethod
    def read(cls, path: str | Path) -> "Predictions":
        """Read what `write` wrote."""
        return cls(**load_file(path))


def predict_corrupted(predict: Predict, split: Split, settings: CorruptionSettings) -> Predictions:
    """Run a graph on the chosen images, clean and with each corruption at each severity."""
    indices = choose_indices(len(split), settings.images, settings.images_seed)
    clean: list[Integers] = []
    corrupted: list[Integers] = []
    starts = range(0, len(indices), settings.batch_size)
    for start in track(starts, "corrupted images", total=len(starts)):
        part = indices[start : start + settings.batch_size]
        images = split.images(part)
        clean.append(predict(images))
        corrupted.append(
            np.stack(
                [
                    [
                        predict(corrupt(images, part, kind, severity, seed=settings.images_seed))
                        for severity in settings.severities
                    ]
                    for kind in settings.kinds
                ]
            )
        )
    return Predictions(
        indices,
        np.asarray(split.labels)[indices],
        np.concatenate(clean),
        np.concatenate(corrupted, axis=2),
    )


def corruption_metrics(
    own: Predictions, baseline: Predictions, kinds: Sequence[str], side: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Compare a graph with the baseline on the same corrupted images.

    Args:
        own: of the graph.
        baseline: of the baseline; the same for the baseline itself.
        kinds: the corruptions, in the order of the predictions.
        side: of the images, in pixels.

    Returns:
        The metrics, and a row for each corruption: intervals are over the images of these two
        networks, each image with all its severities; p-values are corrected for all corruptions.

    Raises:
        UserError: if the baseline saw other images.
    """
    if not np.array_equal(own.indices, baseline.indices):
        raise UserError("the baseline's corrupted images are others: delete its results, run again")
    right = (own.corrupted == own.labels).astype(np.float64)
    was_right = (baseline.corrupted == own.labels).astype(np.float64)
    flipped = (own.corrupted != baseline.corrupted).astype(np.float64)
    n = len(own.labels)
    # Severities of one image are no independent samples: the image is the unit.
    changes = (right - was_right).mean(axis=1)
    p_values = holm(np.array([normal_p_value(change) for change in changes]))
    rows = []
    for index, kind in enumerate(kinds):
        low, high = _change_interval(changes[index])
        rows.append(
            {
                "corruption": kind,
                "n_images": n,
                "accuracy": right[index].mean(),
                "baseline_accuracy": was_right[index].mean(),
                "accuracy_change": changes[index].mean(),
                "accuracy_change_low": low,
                "accuracy_change_high": high,
                "p_value": p_values[index],
                "flipped_share": flipped[index].mean(),
                **{f"accuracy_{s + 1}": a for s, a in enumerate(right[index].mean(axis=1))},
            }
        )
    worst = min(rows, key=lambda row: row["accuracy_change"])
    clean_low, clean_high = wilson_interval(int((own.clean == own.labels).sum()), n)
    metrics: dict[str, Any] = {
        "n_images": n,
        "corruptions": len(kinds),
        "corruption_parameters": "CIFAR-10-C" if side <= SMALL else "ImageNet-C",
        "corruption_clean_accuracy": float((own.clean == own.labels).mean()),
        "corruption_clean_accuracy_low": clean_low,
        "corruption_clean_accuracy_high": clean_high,
        **_with_interval("corruption_accuracy", right.mean(axis=(0, 1))),
        **_change("corruption_accuracy_change", changes.mean(axis=0)),
        **_with_interval("corruption_flipped_share", flipped.mean(axis=(0, 1))),
        "corruption_clean_flipped_share": float((own.clean != baseline.clean).mean()),
        **_mean_corruption_error(right, was_right),
        "worst_corruption": worst["corruption"] if worst["accuracy_change"] < 0 else None,
        "worst_corruption_accuracy_change": float(worst["accuracy_change"]),
        "worst_corruption_p_value": float(worst["p_value"]),
        "corruptions_worse": _beyond_chance(rows, -1),
        "corruptions_better": _beyond_chance(rows, 1),
    }
    return metrics, rows


def _beyond_chance(rows: Sequence[dict[str, Any]], sign: int) -> int:
    return sum(bool(row["p_value"] < LEVEL and sign * row["accuracy_change"] > 0) for row in rows)


def _with_interval(name: str, images: NDArray[np.float64]) -> dict[str, Any]:
    found = {name: float(images.mean())}
    if len(images) > 1:
        low, high = normal_interval(images)
        found |= {f"{name}_low": max(0.0, low), f"{name}_high": min(1.0, high)}
    return found


def _change(name: str, images: NDArray[np.float64]) -> dict[str, Any]:
    low, high = _change_interval(images)
    return {name: float(images.mean()), f"{name}_low": low, f"{name}_high": high}


def _change_interval(images: NDArray[np.float64]) -> Interval:
    """Return the interval of a mean change of shares; it keeps a width where no image changed."""
    if not images.any():
        return paired_proportion_interval(0, 0, len(images))
    low, high = normal_interval(images)
    return max(-1.0, low), min(1.0, high)


def _mean_corruption_error(
    right: NDArray[np.float64], was_right: NDArray[np.float64], resamples: int = 500
) -> dict[str, Any]:
    """Return Hendrycks' mean corruption error, the baseline's being 1; bootstrap over images.

    Corruptions on which the baseline errs nowhere have no ratio and are left out.
    """
    errors, other = (1 - right).mean(axis=1), (1 - was_right).mean(axis=1)
    known = other.mean(axis=1) > 0
    name = "mean_corruption_error"
    if not known.any():
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    errors, other = errors[known], other[known]
    n = errors.shape[1]
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), resamples).T / n
    drawn, drawn_other = errors @ weights, other @ weights
    ratios = np.where(drawn_other > 0, drawn / np.where(drawn_other > 0, drawn_other, 1), np.nan)
    low, high = np.nanquantile(np.nanmean(ratios, axis=0), [0.025, 0.975])
    value = (errors.mean(axis=1) / other.mean(axis=1)).mean()
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
