"""What corruptions change: closed forms, and the script on a tiny graph."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from squeezed.corruptions.measure import (
    CorruptionSettings,
    Predictions,
    corruption_metrics,
)
from squeezed.foundation.errors import UserError
from squeezed.foundation.results import exact_part, read_result
from squeezed.statistics.intervals import normal_interval, paired_proportion_interval
from tests.evaluation.workplace import run, write_linear, write_pictures

KINDS = ["gaussian_noise", "frost"]


def predictions(wrong: np.ndarray, labels: np.ndarray) -> Predictions:
    return Predictions(np.arange(len(labels)), labels, labels, np.where(wrong, 1 - labels, labels))


def test_figures_of_a_table() -> None:
    """Of 100 images the baseline gets 10 and 20 wrong, the variant 20 and 20 others."""
    labels = np.zeros(100, dtype=np.int64)
    places = np.arange(100)
    base = np.stack([[places < 10, places < 10], [places < 20, places < 20]])
    ours = np.stack([[places < 20, places < 20], [places >= 80, places >= 80]])
    metrics, rows = corruption_metrics(
        predictions(ours, labels), predictions(base, labels), KINDS, 32
    )
    assert metrics["mean_corruption_error"] == pytest.approx((20 / 10 + 20 / 20) / 2)
    assert metrics["mean_corruption_error_low"] < 1.5 < metrics["mean_corruption_error_high"]
    assert metrics["corruption_accuracy"] == pytest.approx(0.8)
    assert metrics["corruption_accuracy_change"] == pytest.approx(-0.05)
    assert metrics["corruption_flipped_share"] == pytest.approx((0.1 + 0.4) / 2)
    assert metrics["corruption_clean_accuracy"] == 1
    assert metrics["worst_corruption"] == "gaussian_noise"
    assert metrics["corruption_parameters"] == "CIFAR-10-C"
    noise, frost = rows
    change = -((places >= 10) & (places < 20)).astype(float)
    assert (noise["accuracy_change_low"], noise["accuracy_change_high"]) == pytest.approx(
        normal_interval(change)
    )
    assert noise["p_value"] < 0.01 < frost["p_value"]
    assert (metrics["corruptions_worse"], metrics["corruptions_better"]) == (1, 0)


def test_severities_of_an_image_are_no_samples_of_their_own() -> None:
    """The same errors at five severities leave the interval of one severity."""
    generator = np.random.default_rng(0)
    labels = np.zeros(200, dtype=np.int64)
    wrong, was_wrong = generator.random((2, 1, 1, 200)) < [[[[0.3]]], [[[0.2]]]]
    once = corruption_metrics(
        predictions(wrong, labels), predictions(was_wrong, labels), KINDS[:1], 64
    )[0]
    often = corruption_metrics(
        predictions(np.repeat(wrong, 5, axis=1), labels),
        predictions(np.repeat(was_wrong, 5, axis=1), labels),
        KINDS[:1],
        64,
    )[0]
    assert once == often
    assert once["corruption_parameters"] == "ImageNet-C"


def test_where_no_image_changed_its_interval_keeps_a_width() -> None:
    """A hundred images that stay as they are do not show that every image does."""
    labels = np.zeros(100, dtype=np.int64)
    same = predictions(np.zeros((2, 3, 100), dtype=bool), labels)
    metrics, rows = corruption_metrics(same, same, KINDS, 32)
    expected = paired_proportion_interval(0, 0, 100)
    for row in rows:
        assert (row["accuracy_change_low"], row["accuracy_change_high"]) == expected
    assert metrics["corruption_accuracy_change_high"] == expected[1] > 0.01


def test_a_baseline_without_errors_has_no_ratio() -> None:
    labels = np.zeros(10, dtype=np.int64)
    perfect = predictions(np.zeros((2, 1, 10), dtype=bool), labels)
    metrics, rows = corruption_metrics(perfect, perfect, KINDS, 32)
    assert metrics["mean_corruption_error"] is None
    assert metrics["worst_corruption"] is None
    assert metrics["worst_corruption_p_value"] == 1 and len(rows) == 2
    other = Predictions(labels + 1, labels, labels, perfect.corrupted)
    with pytest.raises(UserError, match="are others"):
        corruption_metrics(perfect, other, KINDS, 32)


def corrupted(folder: Path, variant: str, batch_size: int, baseline: Path | None) -> Path:
    made = folder / f"{variant}{batch_size}"
    made.mkdir()
    settings = CorruptionSettings(40, 0, KINDS, [1, 5], batch_size)
    run(
        "corrupt",
        graph=folder / f"{variant}.onnx",
        baseline=baseline,
        dataset=folder / "data.safetensors",
        predictions=made / "corruptions.safetensors",
        table=made / "corruptions.csv",
        result=made / "corruptions.json",
        settings=json.dumps({"corruptions": vars(settings), "threads": 1}),
    )
    return made


def test_the_script_of_a_baseline_and_of_a_variant(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data.safetensors")
    write_linear(tmp_path / "baseline.onnx")
    write_linear(tmp_path / "other.onnx", seed=1)
    base = corrupted(tmp_path, "baseline", 16, None)
    again = corrupted(tmp_path, "baseline", 40, None)
    other = corrupted(tmp_path, "other", 16, base / "corruptions.safetensors")
    found = exact_part(read_result(base / "corruptions.json"))
    assert found["n_images"] == 40
    assert found["corruption_accuracy_change"] == found["corruption_flipped_share"] == 0
    assert found == exact_part(read_result(again / "corruptions.json")), "whatever the batches"
    ours = read_result(other / "corruptions.json")
    table = pd.read_csv(other / "corruptions.csv")
    assert table["corruption"].tolist() == KINDS
    assert ours["corruption_accuracy"] == pytest.approx(table["accuracy"].mean(), abs=1e-5)
    assert table["accuracy_1"].mean() >= table["accuracy_2"].mean()
    kept = Predictions.read(other / "corruptions.safetensors")
    assert kept.corrupted.shape == (2, 2, 40)
    assert (kept.corrupted == kept.labels).mean() == pytest.approx(ours["corruption_accuracy"])
