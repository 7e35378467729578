"""What an attack did to each image, as a table, and the figures that are read from it."""

from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from squeezed.attacks.carlini_wagner import Attacked
from squeezed.attacks.victim import Victim
from squeezed.statistics import wilson_interval

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
    indices: np.ndarray,
    targets: Tensor | None = None,
) -> pd.DataFrame:
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
        last iterate. `l2` and `linf`, in units of [0, 1], are empty where no adversarial image was
        found. `still_fools_rounded` says whether it still fools with 8 bits for each pixel.
    """
    before, best, last = (_judged(victim, x) for x in (images, attacked.best, attacked.last))
    rounded = _judged(victim, rounded_to_pixels(attacked.best))[0]
    change, change_last = attacked.best - images, attacked.last - images
    success = attacked.success.numpy()
    hit = rounded != labels.numpy() if targets is None else rounded == targets.numpy()
    return pd.DataFrame(
        {
            "index": indices,
            "label": labels.numpy(),
            "target": -1 if targets is None else targets.numpy(),
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
            "constant": attacked.constant.numpy(),
            "iterations": attacked.iterations.numpy(),
        }
    )


def attack_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of an attack (Table II and what the paper leaves out).

    Accuracies, confidences and rates are in [0, 1]. Where a figure does not exist (no image could
    be attacked, or none was fooled) it is None, never 0 or 1.
    """
    n, attackable = len(table), table[table["attackable"]]
    fooled = attackable[attackable["success"]]
    low, high = (
        wilson_interval(len(fooled), len(attackable)) if len(attackable) else (None, None)
    )
    return {
        "n_images": n,
        "n_attackable": len(attackable),
        "n_fooled": len(fooled),
        "accuracy_before": _mean(table["prediction_before"] == table["label"]),
        "accuracy_after": _mean(table["prediction_after"] == table["label"]),
        "accuracy_after_last": _mean(table["prediction_last"] == table["label"]),
        "confidence_before": _mean(table["confidence_before"]),
        "confidence_after": _mean(table["confidence_last"]),
        "confidence_after_best": _mean(table["confidence_after"]),
        "success_rate": _mean(attackable["success"]),
        "success_rate_low": low,
        "success_rate_high": high,
        "success_rate_rounded": _mean(attackable["still_fools_rounded"]),
        "l2_mean": _mean(fooled["l2"]),
        "l2_median": _median(fooled["l2"]),
        "linf_mean": _mean(fooled["linf"]),
        "linf_median": _median(fooled["linf"]),
        "max_abs_change": float(attackable["linf_last"].max()) if len(attackable) else None,
        "iterations_mean": _mean(attackable["iterations"]),
    }


def robust_accuracy_curve(table: pd.DataFrame) -> pd.DataFrame:
    """Return the robust accuracy against the L2 budget, as the steps of a staircase.

    The first row is the accuracy without attack; each further one is the accuracy once the budget
    allows that row's `l2_budget`: the share of all images that are classified correctly and for
    which no adversarial image at most so far away was found.
    """
    budgets = np.sort(table.loc[table["success"], "l2"].to_numpy())
    clean = int(table["attackable"].sum())
    return pd.DataFrame(
        {
            "l2_budget": np.concatenate([[0.0], budgets]),
            "robust_accuracy": (clean - np.arange(len(budgets) + 1)) / max(1, len(table)),
        }
    )


def _judged(victim: Victim, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted class of each image and its softmax probability."""
    probabilities = victim.logits(images).softmax(dim=1)
    confidence, prediction = probabilities.max(dim=1)
    return prediction.numpy(), confidence.numpy()


def _l2(change: Tensor) -> np.ndarray:
    return change.double().square().sum((1, 2, 3)).sqrt().numpy()


def _linf(change: Tensor) -> np.ndarray:
    return change.abs().amax((1, 2, 3)).double().numpy()


def _mean(values: "pd.Series[Any]") -> float | None:
    return float(values.astype(float).mean()) if len(values) else None


def _median(values: "pd.Series[Any]") -> float | None:
    return float(values.median()) if len(values) else None
