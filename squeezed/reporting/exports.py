"""The report's figures for other programs: `dvc metrics`, `dvc plots`, pandas."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_robustness import robustness_curves
from squeezed.reporting.figure_training import training_curves
from squeezed.reporting.measures import unreliable_reason
from squeezed.reporting.recommendation import recommend

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
    "cam": (
        "guided_backprop_share_on_object",
        "guided_backprop_insertion_net",
        "guided_backprop_deletion_net",
        "guided_backprop_road",
    ),
}
"""What `dvc metrics` shows beside the attacks: a mean over seeds of each, with its interval."""
GATE = "diagnostics"
"""Whose verdict is shown, too: whether every seed's robustness figures are reliable."""
ARRANGEMENT_FIELDS = "paper_arrangement"
"""What its fields begin with on attacks that take the true gradient of rounding."""
ATTACK_METRICS = ("accuracy_before", "accuracy_after", "success_rate", "l2_median")

PLOT_COLUMNS = {
    "training_curves": ["experiment", "variant", "seed", "epoch", "validation_accuracy"],
    "accuracy_size": ["experiment", "variant", "seed", "size_mb", "accuracy"],
    "robustness_curve": ["experiment", "variant", "l2_budget", "robust_accuracy"],
}


def metrics_tree(experiments: Iterable[Experiment]) -> dict[str, Any]:
    """Return experiment → variant → analysis → metric → mean over seeds.

    Beside each figure stand the ends of its 95 % interval (`_low`, `_high`) where it has one,
    beside each attack the gate's verdict, and for each variant whether it is what to ship.
    """
    tree: dict[str, Any] = {}
    for experiment in experiments:
        attacks = {f"attack_{name}": ATTACK_METRICS for name in experiment.attacks}
        best = recommend(experiment).variant
        for variant in experiment.variants:
            branch = tree.setdefault(experiment.name, {}).setdefault(variant, {})
            branch["report"] = {"recommended": variant == best}
            for analysis, names in (METRICS | attacks).items():
                found = {n: e for n in names if (e := _estimate(experiment, variant, analysis, n))}
                for name, estimate in found.items():
                    branch.setdefault(analysis, {}).update(_with_ends(name, estimate))
            if experiment.values(variant, GATE, "reliable"):
                reliable = unreliable_reason(experiment, variant) is None
                branch.setdefault(GATE, {})["reliable"] = reliable
            for name, settings in experiment.attacks.items():
                verdict = _verdict(experiment, variant, settings)
                if verdict is not None and f"attack_{name}" in branch:
                    branch[f"attack_{name}"]["reliable"] = verdict
    return tree


def _estimate(experiment: Experiment, variant: str, analysis: str, name: str) -> Estimate | None:
    images = "n_attackable" if name == "success_rate" else "n_images"
    return metric(experiment, variant, analysis, name, images=images)


def _with_ends(name: str, estimate: Estimate) -> dict[str, float]:
    fields = {name: round(estimate.value, 6)}
    if estimate.low is not None and estimate.high is not None and estimate.low < estimate.high:
        fields |= {f"{name}_low": round(estimate.low, 6), f"{name}_high": round(estimate.high, 6)}
    return fields


def _verdict(experiment: Experiment, variant: str, settings: Mapping[str, Any]) -> bool | None:
    """Return whether the gate believes an attack's figures; None where it was not asked."""
    if settings.get("straight_through", True):
        field = "reliable"
    else:
        field = f"{ARRANGEMENT_FIELDS}_reliable"
    records = [experiment.record(seed, variant, GATE) or {} for seed in experiment.seeds]
    verdicts = [bool(record[field]) for record in records if record.get(field) is not None]
    return all(verdicts) if verdicts else None


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
