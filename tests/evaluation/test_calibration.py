"""Calibration against torchmetrics and closed forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezed.evaluation.calibration import (
    adaptive_calibration_error,
    brier_scores,
    calibration_metrics,
    expected_calibration_error,
    negative_log_likelihoods,
    reliability,
    write_reliability,
)
from squeezed.statistics.temperature import SHARPEST, fit_temperature, probabilities


def drawn(seed: int, n: int = 400, classes: int = 5, scale: float = 2.0):
    """Return logits, and labels drawn from softmax(logits / scale)."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (n, classes))
    p = probabilities(logits, scale)
    labels = (p.cumsum(axis=1) < generator.random((n, 1))).sum(axis=1)
    return logits, np.minimum(labels, classes - 1)


@pytest.mark.parametrize("seed", range(5))
def test_the_expected_error_is_torchmetrics(seed: int) -> None:
    torchmetrics = pytest.importorskip(
        "torchmetrics.functional.classification", reason="torchmetrics is not installed"
    )
    torch = pytest.importorskip("torch")
    logits, labels = drawn(seed)
    p = probabilities(logits).astype(np.float32)
    theirs = torchmetrics.multiclass_calibration_error(
        torch.from_numpy(p), torch.from_numpy(labels), num_classes=5, n_bins=15, norm="l1"
    )
    ours = expected_calibration_error(p.max(axis=1).astype(np.float64), p.argmax(axis=1) == labels)
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_errors_of_a_table() -> None:
    """Ten images of confidence 0.8, half of them right; ten of 0.6, six of them."""
    confidence = np.repeat([0.8, 0.6], 10)
    correct = np.array([True] * 5 + [False] * 5 + [True] * 6 + [False] * 4)
    assert expected_calibration_error(confidence, correct, 10) == pytest.approx(0.15)
    assert adaptive_calibration_error(confidence, correct, 2) == pytest.approx(0.15)
    assert adaptive_calibration_error(confidence, correct, 1) == pytest.approx(0.15)
    bars = reliability(confidence, correct, 10)
    assert [bar.images for bar in bars] == [0, 0, 0, 0, 0, 10, 0, 10, 0, 0]
    assert bars[7].accuracy == 0.5 and bars[5].confidence == pytest.approx(0.6)


def test_bins_are_closed_above() -> None:
    """A confidence of exactly 1 and of exactly a border belong below."""
    bars = reliability(np.array([1.0, 0.5]), np.array([True, True]), 2)
    assert [bar.images for bar in bars] == [1, 1]


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 12))
def test_errors_are_between_the_gap_and_one(seed: int, n: int, classes: int) -> None:
    logits, labels = drawn(seed, n, classes)
    confidence = probabilities(logits).max(axis=1)
    correct = logits.argmax(axis=1) == labels
    gap = abs(confidence.mean() - correct.mean())
    for error in (expected_calibration_error, adaptive_calibration_error):
        assert gap - 1e-12 <= error(confidence, correct) <= 1
        assert error(confidence, correct, 1) == pytest.approx(gap)
        shuffled = np.random.default_rng(0).permutation(n)
        if error is expected_calibration_error:
            again = error(confidence[shuffled], correct[shuffled])
            assert again == pytest.approx(error(confidence, correct))


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 8))
def test_scores_by_their_definitions(seed: int, n: int, classes: int) -> None:
    logits, labels = drawn(seed, n, classes)
    p, truth = probabilities(logits), np.eye(classes)[labels]
    assert p.sum(axis=1) == pytest.approx(1)
    assert brier_scores(p, labels) == pytest.approx(((p - truth) ** 2).sum(axis=1))
    assert negative_log_likelihoods(logits, labels) == pytest.approx(
        -np.log((p * truth).sum(axis=1))
    )
    assert (brier_scores(p, labels) >= 0).all() and (brier_scores(p, labels) <= 2).all()


def test_logits_beyond_all_exponents_are_scored() -> None:
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], dtype=np.float32)
    assert negative_log_likelihoods(logits, np.array([0, 0])) == pytest.approx([0, 1e4])


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_labels_is_found(scale: float) -> None:
    logits, labels = drawn(0, 20_000, scale=scale)
    assert fit_temperature(logits, labels) == pytest.approx(scale, rel=0.05)


@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_the_scale_of_the_logits_is_the_temperatures(seed: int, factor: float) -> None:
    logits, labels = drawn(seed, 50)
    temperature = fit_temperature(logits, labels)
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor * temperature)
    nearby = [
        negative_log_likelihoods(logits, labels, temperature * by).mean() for by in (1, 0.9, 1.1)
    ]
    assert nearby[0] <= min(nearby) + 1e-9


def test_a_temperature_is_bounded_where_none_is_finite() -> None:
    """All right: the likelihood has no maximum; all wrong: neither."""
    logits = np.eye(4)[np.arange(40) % 4] * 7.0
    right = np.arange(40) % 4
    spread = np.sqrt(((logits - logits.mean(axis=1, keepdims=True)) ** 2).mean())
    assert fit_temperature(logits, right) == pytest.approx(spread / SHARPEST)
    assert fit_temperature(logits, (right + 1) % 4) == pytest.approx(spread * SHARPEST)
    assert fit_temperature(np.zeros((5, 3)), np.zeros(5, dtype=np.int64)) == 1.0


def test_scaling_mends_what_is_too_sure(tmp_path: Path) -> None:
    test, held_out = drawn(1, 5000, scale=3.0), drawn(2, 5000, scale=3.0)
    found = calibration_metrics(*test, held_out)
    assert found["overconfidence"] > 0.1 > abs(found["overconfidence_scaled"])
    assert found["expected_calibration_error"] > 0.1
    assert found["expected_calibration_error_scaled"] < 0.03
    for name in (
        "expected_calibration_error",
        "adaptive_calibration_error",
        "brier_score",
        "negative_log_likelihood",
    ):
        for ending in ("", "_scaled"):
            key = f"{name}{ending}"
            assert found[f"{key}_low"] <= found[key] <= found[f"{key}_high"], key
        assert found[f"{name}_scaled"] < found[name]
    assert found["temperature_images"] == 5000
    write_reliability(tmp_path / "reliability.csv", *test, found["temperature"])
    diagram = pd.read_csv(tmp_path / "reliability.csv")
    assert len(diagram) == 30
    for scaled, ending in ((0, ""), (1, "_scaled")):
        bars = diagram[(diagram["scaled"] == scaled) & (diagram["n_images"] > 0)]
        error = (bars["n_images"] * (bars["confidence"] - bars["accuracy"]).abs()).sum() / 5000
        assert error == pytest.approx(found[f"expected_calibration_error{ending}"], abs=1e-5)


def test_without_validation_images_nothing_is_scaled(tmp_path: Path) -> None:
    logits, labels = drawn(3, 1)
    found = calibration_metrics(logits, labels, None)
    assert found["temperature"] is None and found["brier_score_scaled"] is None
    write_reliability(tmp_path / "reliability.csv", logits, labels, None)
    assert len(pd.read_csv(tmp_path / "reliability.csv")) == 15


def test_the_interval_of_the_error_covers() -> None:
    """Over images: of an overconfident network, whose error is far from zero."""
    logits, labels = drawn(4, 100_000, scale=3.0)
    truth = calibration_metrics(logits, labels, None)["expected_calibration_error"]
    covered = 0
    for part in range(100):
        own = slice(part * 1000, (part + 1) * 1000)
        found = calibration_metrics(logits[own], labels[own], None)
        key = "expected_calibration_error"
        covered += found[f"{key}_low"] <= truth <= found[f"{key}_high"]
    assert covered >= 90
