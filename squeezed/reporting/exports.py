"""The report's figures for other programs: `dvc metrics`, `dvc plots`, pandas."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from squeezed.reporting.estimates import over_seeds
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_robustness import robustness_curves
from squeezed.reporting.figure_training import training_curves
from squeezed.reporting.measures import unreliable_reason

METRICS = {
    "training": ("validation_accuracy",),
    "evaluation": (
        "top1_accuracy",
        "flipped_share",
        "expected_calibration_error",
        "onnx_size_bytes",
        "onnx_gzipped_bytes",
        "nonzero_parameters",
        "remaining_multiply_accumulates",
    ),
    "inference_timing": ("time_10000_s", "latency_p50_ms", "speedup"),
    "embedding": ("knn_accuracy", "silhouette", "linear_cka"),
    "tsne": ("trustworthiness", "map_knn_accuracy"),
    "corruptions": ("mean_corruption_error",),
    "unfamiliar": ("auroc_confidence",),
    "cam": ("guided_backprop_share_on_object", "guided_backprop_insertion_auc"),
}
"""What `dvc metrics` shows beside the attacks: a mean over seeds of each."""
GATE = "diagnostics"
"""Whose verdict is shown, too: whether every seed's robustness figures are reliable."""
ATTACK_METRICS = ("accuracy_before", "accuracy_after", "success_rate", "l2_median")

PLOT_COLUMNS = {
    "training_curves": ["experiment", "variant", "seed", "epoch", "validation_accuracy"],
    "accuracy_size": ["experiment", "variant", "seed", "size_mb", "accuracy"],
    "robustness_curve": ["experiment", "variant", "l2_budget", "robust_accuracy"],
}


def metrics_tree(experiments: Iterable[Experiment]) -> dict[str, Any]:
    """Return experiment → variant → analysis → metric → mean over seeds."""
    tree: dict[str, Any] = {}
    for experiment in experiments:
        attacks = {f"attack_{name}": ATTACK_METRICS for name in experiment.attacks}
        for variant in experiment.variants:
            branch = tree.setdefault(experiment.name, {}).setdefault(variant, {})
            for analysis, names in (METRICS | attacks).items():
                for name in names:
                    estimate = over_seeds(experiment.values(variant, analysis, name))
                    if estimate is not None:
                        branch.setdefault(analysis, {})[name] = round(estimate.value, 6)
            if experiment.values(variant, GATE, "reliable"):
                verdict = unreliable_reason(experiment, variant) is None
                branch.setdefault(GATE, {})["reliable"] = verdict
    return tree


def plot_frames(experiments: Iterable[Experiment]) -> dict[str, pd.DataFrame]:
    """Return the data of each plot that `dvc plots` draws, by name."""
    experiments = list(experiments)
    frames = {
        "training_curves": [training_curves(e) for e in experiments],
        "accuracy_size": [_accuracy_size(e) for e in experiments],
        "robustness_curve": [robustness_curves(e) for e in experiments],
    }
    return {
        name: _joined(parts).reindex(columns=PLOT_COLUMNS[name]) for name, parts in frames.items()
    }


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if not part.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _accuracy_size(experiment: Experiment) -> pd.DataFrame:
    rows = []
    for variant in experiment.variants:
        sizes = experiment.values(variant, "evaluation", "onnx_size_bytes")
        for seed, value in experiment.values(variant, "evaluation", "top1_accuracy").items():
            if seed in sizes:
                rows.append(
                    {
                        "experiment": experiment.name,
                        "variant": variant,
                        "seed": seed,
                        "size_mb": round(sizes[seed] / 1e6, 4),
                        "accuracy": value,
                    }
                )
    return pd.DataFrame(rows)
