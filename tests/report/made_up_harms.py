"""Made-up results of what accuracy does not show, written by the real analyses' own code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from squeezed.corruptions.measure import Predictions, corruption_metrics
from squeezed.evaluation.calibration import calibration_metrics, write_reliability
from squeezed.evaluation.classes import class_changes, class_metrics, write_classes
from squeezed.evaluation.exemplars import compare_seeds, write_exemplars
from squeezed.evaluation.unfamiliar import Scores, unfamiliar_metrics
from squeezed.foundation.results import write_result
from tests.report.made_up import PROVENANCE, VARIANTS

CLASSES = tuple("0123456789")
KINDS = ("frost", "fog")
LOST_CLASS = "3"
"""Of which a harmed variant loses a third."""


def write_harms(
    results: Path,
    experiment: str = "digits",
    seeds: tuple[int, ...] = (0,),
    variants: tuple[str, ...] = VARIANTS,
    harmed: str = "",
) -> Path:
    """Add calibration, classes, corruptions, unfamiliar images and, of several seeds, churn.

    Args:
        results: where `MadeUp.write` wrote evaluations.
        experiment: whose.
        seeds: the seeds.
        variants: the variants.
        harmed: the variant that is clearly worse in each of these; none where it is empty.
    """
    said: dict[str, list[np.ndarray]] = {variant: [] for variant in variants}
    labels = np.array([], dtype=np.int64)
    for seed in seeds:
        baseline = results / experiment / f"seed{seed}" / "baseline"
        for variant in variants:
            folder = results / experiment / f"seed{seed}" / variant
            table = pd.read_csv(folder / "predictions.csv")
            labels = table["label"].to_numpy()
            if variant == harmed:
                lost = (labels == int(LOST_CLASS)) & (np.arange(len(labels)) % 3 == 0)
                table.loc[lost, "prediction"] = 8
                table.to_csv(folder / "predictions.csv", index=False)
            predictions = table["prediction"].to_numpy()
            said[variant].append(predictions)
            of_baseline = pd.read_csv(baseline / "predictions.csv")["prediction"].to_numpy()
            _evaluation(folder, labels, predictions, of_baseline, variant, variant == harmed)
            _corruptions(folder, labels, predictions, of_baseline, variant == harmed)
            _unfamiliar(folder, len(labels), variant, variant == harmed)
    if len(seeds) > 1:
        stacked = {variant: np.stack(of_seeds) for variant, of_seeds in said.items()}
        compared = compare_seeds(labels, stacked, "baseline")
        folder = results / experiment
        write_result(folder / "seed_comparison.json", compared, provenance=PROVENANCE)
        write_exemplars(folder / "exemplars.csv", labels, stacked, "baseline")
    return results


def _evaluation(
    folder: Path,
    labels: np.ndarray,
    predictions: np.ndarray,
    of_baseline: np.ndarray,
    variant: str,
    is_harmed: bool,
) -> None:
    logits = np.eye(len(CLASSES))[predictions] * (2.0 if is_harmed else 5.0)
    added = calibration_metrics(logits, labels, (logits[:100], labels[:100]))
    write_reliability(folder / "reliability.csv", logits, labels, added["temperature"])
    if variant != "baseline":
        changes = class_changes(CLASSES, labels, predictions, of_baseline)
        write_classes(folder / "classes.csv", changes)
        added |= class_metrics(changes)
    path = folder / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | added))


def _corruptions(
    folder: Path,
    labels: np.ndarray,
    predictions: np.ndarray,
    of_baseline: np.ndarray,
    is_harmed: bool,
) -> None:
    def of(clean: np.ndarray, share: float) -> Predictions:
        index = np.arange(len(labels))
        corrupted = np.where(index % 100 < 100 * share, (labels + 1) % 10, clean)
        return Predictions(index, labels, clean, np.broadcast_to(corrupted, (2, 3, len(labels))))

    own = of(predictions, 0.4 if is_harmed else 0.2)
    metrics, rows = corruption_metrics(own, of(of_baseline, 0.2), KINDS, 32)
    pd.DataFrame(rows).to_csv(folder / "corruptions.csv", index=False)
    write_result(folder / "corruptions.json", metrics, provenance=PROVENANCE)


def _unfamiliar(folder: Path, n: int, variant: str, is_harmed: bool) -> None:
    def of(gap: float) -> Scores:
        generator = np.random.default_rng(0)
        return Scores(*({"confidence": generator.normal(at, 1, n)} for at in (gap, 0.0)))

    own, baseline = of(0.5 if is_harmed else 1.5), of(1.5)
    metrics: dict[str, Any] = {
        "unfamiliar_dataset": "parts",
        "unfamiliar_source_kind": "photographs",
    }
    metrics |= unfamiliar_metrics(own, None if variant == "baseline" else baseline)
    write_result(folder / "unfamiliar.json", metrics, provenance=PROVENANCE)
