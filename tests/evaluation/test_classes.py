"""Harm by class and image."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from squeezed.evaluation.classes import class_changes, class_metrics, write_classes
from squeezed.evaluation.exemplars import churn, compare_seeds, votes, write_exemplars
from squeezed.evaluation.predictions import confidences, write_predictions
from squeezed.foundation.results import exact_part, read_result
from squeezed.statistics.intervals import mcnemar_p_value, paired_proportion_interval
from tests.evaluation.workplace import run, write_linear, write_pictures

NAMES = ["cat", "dog", "owl"]


def test_recall_changes_by_class(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], 40)
    baseline = labels.copy()
    predictions = labels.copy()
    baseline[40:45] = 0  # five dogs that only the variant gets right
    predictions[80:92] = 1  # twelve owls that only the baseline gets right
    baseline[0], predictions[0] = 1, 2  # wrong in both: it flipped
    changes = class_changes(NAMES, labels, predictions, baseline)
    assert [change.recall_change for change in changes] == [0, 5 / 40, -12 / 40]
    assert [change.flipped_predictions for change in changes] == [1, 5, 12]
    owl = changes[2]
    assert (owl.low, owl.high) == paired_proportion_interval(0, 12, 40, 1 - 0.05 / 3)
    assert owl.p_value == pytest.approx(3 * 2 * 0.5**12)
    assert changes[1].p_value == pytest.approx(
        2 * mcnemar_p_value((baseline == labels)[40:80], (predictions == labels)[40:80])
    )
    found = class_metrics(changes)
    assert found["worst_class"] == "owl"
    assert found["worst_class_recall_change"] == -0.3
    assert (found["classes_worse"], found["classes_better"]) == (1, 0)
    assert found["lowest_recall"] == found["worst_class_recall"] == 28 / 40
    write_classes(tmp_path / "classes.csv", changes)
    frame = pd.read_csv(tmp_path / "classes.csv")
    assert frame["class"].tolist() == NAMES
    assert frame["correct"].tolist() == [39, 40, 28]
    assert frame["recall_change_low"][2] == pytest.approx(owl.low, rel=1e-4)


def test_a_class_without_images_is_left_out() -> None:
    labels = np.array([0, 2, 2])
    changes = class_changes(NAMES, labels, labels, labels)
    assert [change.name for change in changes] == ["cat", "owl"]
    found = class_metrics(changes)
    assert found["classes_compared"] == 2
    assert found["worst_class"] is None and found["worst_class_recall_change"] == 0
    assert found["worst_class_p_value"] == 1.0
    assert found["worst_class_recall_change_low"] < 0 < found["worst_class_recall_change_high"]


def test_of_many_unharmed_classes_few_are_called_harmed() -> None:
    """Fifty classes of two equally good networks, often: one is called harmed seldom."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(50), 30)
    names = [str(label) for label in range(50)]
    alarms = 0
    for _ in range(60):
        wrong = generator.random((2, len(labels))) < 0.2
        baseline, variant = np.where(wrong, (labels + 1) % 50, labels)
        found = class_metrics(class_changes(names, labels, variant, baseline))
        alarms += found["classes_worse"] + found["classes_better"] > 0
    assert alarms <= 6


def test_exemplars_are_where_the_votes_differ() -> None:
    baseline = np.array([[0, 1, 2, 1], [0, 1, 2, 1], [0, 2, 2, 0]])
    variant = np.array([[0, 2, 2, 1], [1, 2, 2, 0], [0, 1, 2, 0]])
    assert votes(baseline).prediction.tolist() == [0, 1, 2, 1]
    assert votes(baseline).agreement.tolist() == pytest.approx([1, 2 / 3, 1, 2 / 3])
    differ = votes(baseline).prediction != votes(variant).prediction
    assert differ.tolist() == [False, True, False, True]
    # Pairs of the baseline's seeds: 0 and 1 agree on all, each differs from 2 on two of four.
    assert churn(baseline) == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert churn(baseline, baseline) == churn(baseline)


def test_new_seeds_of_the_same_network_have_few_exemplars(tmp_path: Path) -> None:
    """A variant that is but another draw of the baseline flips as much as seeds churn."""
    generator = np.random.default_rng(0)
    labels = np.arange(600) % 3

    def draw() -> np.ndarray:
        wrong = generator.random((5, 600)) < 0.1
        return np.where(wrong, (labels + 1) % 3, labels)

    harmed = draw()
    harmed[:, :30] = (labels[:30] + 2) % 3
    predictions = {"baseline": draw(), "same": draw(), "harmed": harmed}
    found = compare_seeds(labels, predictions, "baseline")
    same, worse = found["variants"]["same"], found["variants"]["harmed"]
    assert same["flipped_share"] == pytest.approx(found["seed_churn"], abs=0.03)
    assert same["exemplars"] < 15
    assert worse["exemplars"] >= 30
    assert worse["exemplars_variant_accuracy"] < 0.3 < worse["exemplars_baseline_accuracy"]
    write_exemplars(tmp_path / "exemplars.csv", labels, predictions, "baseline")
    frame = pd.read_csv(tmp_path / "exemplars.csv")
    assert (frame["variant"] == "harmed").sum() == worse["exemplars"]
    assert set(range(30)) <= set(frame[frame["variant"] == "harmed"]["index"])
    nothing = compare_seeds(labels, {"baseline": harmed, "same": harmed}, "baseline")
    assert nothing["variants"]["same"]["exemplars_variant_accuracy"] is None


def test_each_image_has_its_scores(tmp_path: Path) -> None:
    labels = np.array([0, 1, 1])
    logits = np.array([[2.0, 0.0], [0.0, 1000.0], [3.0, 0.0]], dtype=np.float32)
    write_predictions(tmp_path / "p.csv", labels, logits, labels)
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == (
        "index,label,prediction,confidence,baseline_prediction,brier_score,negative_log_likelihood"
    )
    assert lines[2] == "1,1,1,1.000000,1,0.000000,0.000000"
    first = np.exp(2) / (1 + np.exp(2))
    assert lines[1] == f"0,0,0,{first:.6f},0,{2 * (1 - first) ** 2:.6f},{-np.log(first):.6f}"
    assert confidences(logits)[0] == pytest.approx(first)


def evaluate(folder: Path, variant: str, seed: int, baseline: str | None) -> Path:
    made = folder / f"seed{seed}" / variant
    made.mkdir(parents=True, exist_ok=True)
    run(
        "evaluate",
        graph=folder / f"{variant}{seed}.onnx",
        baseline=None if baseline is None else folder / f"{baseline}{seed}.onnx",
        dataset=folder / "data.safetensors",
        result=made / "evaluation.json",
        predictions=made / "predictions.csv",
        classes=made / "classes.csv",
        reliability=made / "reliability.csv",
        layers=made / "layers.csv",
        settings=json.dumps(
            {"evaluation": {"batch_size": 16, "engines": ["onnxruntime"]}, "threads": 1}
        ),
    )
    return made


def test_the_scripts_from_graphs_to_exemplars(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data.safetensors")
    for seed in (0, 1):
        write_linear(tmp_path / f"baseline{seed}.onnx", seed)
        write_linear(tmp_path / f"sharp{seed}.onnx", seed, sharpness=50.0)
    made = {
        (seed, variant): evaluate(
            tmp_path, variant, seed, None if variant == "baseline" else "baseline"
        )
        for seed in (0, 1)
        for variant, other in (("baseline", None), ("sharp", "baseline"))
    }
    plain = read_result(made[0, "baseline"] / "evaluation.json")
    sharp = read_result(made[0, "sharp"] / "evaluation.json")
    # The same decisions from logits fifty times as large: only their confidence differs.
    assert sharp["top1_accuracy"] == plain["top1_accuracy"]
    assert sharp["temperature"] == pytest.approx(50 * plain["temperature"], rel=1e-3)
    assert sharp["brier_score_scaled"] == pytest.approx(plain["brier_score_scaled"], abs=1e-4)
    assert sharp["brier_score"] != pytest.approx(plain["brier_score"], abs=1e-2)
    assert sharp["temperature_images"] == 30
    assert sharp["worst_class_recall_change"] == 0
    assert "worst_class" not in plain
    run(
        "compare_seeds",
        predictions=[path / "predictions.csv" for path in made.values()],
        exemplars=tmp_path / "exemplars.csv",
        result=tmp_path / "seed_comparison.json",
        settings=json.dumps({"seeds": [0, 1], "variants": ["baseline", "sharp"]}),
    )
    compared = exact_part(read_result(tmp_path / "seed_comparison.json"))
    assert compared["n_images"] == 60 and compared["n_seeds"] == 2
    assert compared["variants"]["sharp"]["exemplars"] == 0
    assert compared["variants"]["sharp"]["seed_churn"] == compared["seed_churn"]
