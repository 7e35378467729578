"""What an attack did to each image, as a table, and the figures that are read from it."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from squeezed.attacks.attacked import Attacked
from squeezed.attacks.victim import Victim
from squeezed.foundation.files import atomic_path
from squeezed.statistics.proportions import wilson_interval

Table = dict[str, NDArray[Any]]
"""Columns of equal length, by name."""

GREY_LEVELS = 255


def rounded_to_pixels(images: Tensor) -> Tensor:
    """Return images in [0, 1] as they are after being stored with 8 bits for each pixel."""
    return (images * GREY_LEVELS).round() / GREY_LEVELS


def image_table(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    attacked: Attacked,
    *,
    indices: NDArray[np.integer],
    targets: Tensor | None = None,
) -> Table:
    """Describe each attacked image, judged by the victim in float32.

    Args:
        victim: what was attacked.
        images: float32 (n, C, H, W), the originals.
        labels: int64 (n,), the true classes.
        attacked: what the attack returned for them.
        indices: (n,), each image's number in its split.
        targets: int64 (n,) for a targeted attack.

    Returns:
        A row for each image. `_before` is of the original, `_after` of the image that the attack
        returns (the nearest adversarial one, or the original where it found none), `_last` of the
        last iterate. `l2` and `linf`, in units of [0, 1], are NaN where no adversarial image was
        found. `still_fools_rounded` says whether it still fools with 8 bits for each pixel. The
        method's own columns stand before `iterations`.
    """
    before, best, last = (_judged(victim, x) for x in (images, attacked.best, attacked.last))
    rounded = _judged(victim, rounded_to_pixels(attacked.best))[0]
    change, change_last = attacked.best - images, attacked.last - images
    success = attacked.success.numpy()
    hit = rounded != labels.numpy() if targets is None else rounded == targets.numpy()
    return {
        "index": np.asarray(indices),
        "label": labels.numpy(),
        "target": np.full(len(labels), -1) if targets is None else targets.numpy(),
        "prediction_before": before[0],
        "prediction_after": best[0],
        "prediction_last": last[0],
        "attackable": attacked.attackable.numpy(),
        "success": success,
        "still_fools_rounded": success & hit,
        "l2": np.where(success, _l2(change), np.nan),
        "linf": np.where(success, _linf(change), np.nan),
        "l2_last": _l2(change_last),
        "linf_last": _linf(change_last),
        "confidence_before": before[1],
        "confidence_after": best[1],
        "confidence_last": last[1],
        **{name: column.numpy() for name, column in attacked.details.items()},
        "iterations": attacked.iterations.numpy(),
    }


def attack_metrics(table: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the figures of an attack (Table II and what the paper leaves out).

    Accuracies, confidences and rates are in [0, 1]. Where a figure does not exist (no image could
    be attacked, or none was fooled) it is None, never 0 or 1.
    """
    label, attackable = table["label"], table["attackable"]
    fooled = table["success"]
    n_attackable, n_fooled = int(attackable.sum()), int(fooled.sum())
    low, high = wilson_interval(n_fooled, n_attackable) if n_attackable else (None, None)
    moved = table["linf_last"][attackable]
    return {
        "n_images": len(label),
        "n_attackable": n_attackable,
        "n_fooled": n_fooled,
        "accuracy_before": _mean(table["prediction_before"] == label),
        "accuracy_after": _mean(table["prediction_after"] == label),
        "accuracy_after_last": _mean(table["prediction_last"] == label),
        "confidence_before": _mean(table["confidence_before"]),
        "confidence_after": _mean(table["confidence_last"]),
        "confidence_after_best": _mean(table["confidence_after"]),
        "success_rate": _mean(fooled[attackable]),
        "success_rate_low": low,
        "success_rate_high": high,
        "success_rate_rounded": _mean(table["still_fools_rounded"][attackable]),
        "l2_mean": _mean(table["l2"][fooled]),
        "l2_median": _median(table["l2"][fooled]),
        "linf_mean": _mean(table["linf"][fooled]),
        "linf_median": _median(table["linf"][fooled]),
        "max_abs_change": float(moved.max()) if n_attackable else None,
        "iterations_mean": _mean(table["iterations"][attackable]),
        **_of_members(table),
    }


def _of_members(table: Mapping[str, NDArray[Any]]) -> dict[str, float | None]:
    """Return what each member of an ensemble reaches alone, before the line search."""
    figures = {}
    for name, column in table.items():
        member = name.removeprefix("l2_")
        if member in ("last", name):
            continue
        found = ~np.isnan(column[table["attackable"]])
        figures[f"success_rate_{member}"] = _mean(found)
        figures[f"l2_median_{member}"] = _median(column[table["attackable"]][found])
    return figures


def robust_accuracy_curve(table: Mapping[str, NDArray[Any]]) -> Table:
    """Return the robust accuracy against the L2 budget, as the steps of a staircase.

    The first row is the accuracy without attack; each further one is the accuracy once the budget
    allows that row's `l2_budget`: the share of all images that are classified correctly and for
    which no adversarial image at most so far away was found.
    """
    budgets = np.sort(table["l2"][table["success"]])
    clean = int(table["attackable"].sum())
    left = clean - np.arange(len(budgets) + 1)
    return {
        "l2_budget": np.concatenate([[0.0], budgets]),
        "robust_accuracy": left / max(1, len(table["label"])),
    }


def write_table(path: str | Path, table: Mapping[str, NDArray[Any]]) -> None:
    """Write a table as CSV, whole or not at all: truth values as 0 and 1, NaN as nothing."""
    columns = [
        [_cell(value) for value in (column.astype(int) if column.dtype == bool else column)]
        for column in table.values()
    ]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*columns, strict=True))


def _cell(value: Any) -> str:
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else repr(float(value))
    return str(value)


def _judged(victim: Victim, images: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the predicted class of each image and its softmax probability."""
    logits = victim.logits(images)
    confidence = logits.double().softmax(dim=1).max(dim=1).values
    return logits.argmax(dim=1).numpy(), confidence.numpy()


def _l2(change: Tensor) -> NDArray[np.float64]:
    return change.double().square().sum((1, 2, 3)).sqrt().numpy()


def _linf(change: Tensor) -> NDArray[np.float64]:
    return change.abs().amax((1, 2, 3)).double().numpy()


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.astype(np.float64).mean()) if len(values) else None


def _median(values: NDArray[Any]) -> float | None:
    return float(np.median(values)) if len(values) else None
