"""Unfamiliar images: OpenOOD's definitions, by scikit-learn's curves, and the script."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from squeezed.data.photographs import read_photographs
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.evaluation.unfamiliar import (
    Scores,
    auroc,
    false_alarms,
    familiarity,
    read_scores,
    resized,
    unfamiliar_metrics,
    write_scores,
)
from squeezed.foundation.errors import UserError
from squeezed.foundation.results import exact_part, read_result
from squeezed.statistics.temperature import probabilities
from tests.evaluation.workplace import run, write_linear, write_pictures


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60), st.integers(2, 50))
def test_openoods_definitions(seed: int, n: int, m: int, levels: int) -> None:
    """Few levels: ties. OpenOOD takes unfamiliar images as positive, and −score as their score."""
    generator = np.random.default_rng(seed)
    familiar, unfamiliar = (generator.integers(0, levels, size) / levels for size in (n, m))
    is_unfamiliar = np.repeat([0, 1], [n, m])
    score = -np.concatenate([familiar, unfamiliar])
    assert auroc(familiar, unfamiliar) == pytest.approx(roc_auc_score(is_unfamiliar, score))
    alarms, detected, _ = roc_curve(is_unfamiliar, score, drop_intermediate=False)
    expected = alarms[np.argmax(detected >= 0.95)]
    assert false_alarms(familiar, unfamiliar) == pytest.approx(expected)


@given(st.integers(0, 10**6), st.floats(-50, 50))
def test_scores_of_logits(seed: int, shift: float) -> None:
    logits = np.random.default_rng(seed).normal(0, 5, (20, 4))
    scores = familiarity(logits + shift)
    assert scores["confidence"] == pytest.approx(probabilities(logits).max(axis=1))
    assert scores["energy"] == pytest.approx(np.log(np.exp(logits).sum(axis=1)) + shift)
    huge = familiarity(np.array([[1e4, 0.0]]))
    assert huge["energy"] == pytest.approx(1e4) and huge["confidence"] == 1


def drawn(generator: np.random.Generator, n: int = 150) -> tuple[Scores, Scores]:
    """Return the scores of two networks of the same images: they agree in part."""
    shared = {part: generator.normal(mean, 1, n) for part, mean in (("f", 1.0), ("u", 0.0))}
    return tuple(
        Scores(
            *(
                {"energy": shared[part] + generator.normal(gain * (part == "f"), 0.5, n)}
                for part in ("f", "u")
            )
        )
        for gain in (0.0, 0.3)
    )


def test_intervals_cover() -> None:
    generator = np.random.default_rng(0)
    population = drawn(generator, 200_000)
    areas = [auroc(each.familiar["energy"], each.unfamiliar["energy"]) for each in population]
    alarms = false_alarms(population[1].familiar["energy"], population[1].unfamiliar["energy"])
    covered = np.zeros(3)
    for _ in range(120):
        base, own = drawn(generator)
        found = unfamiliar_metrics(own, base)
        for index, (name, truth) in enumerate(
            [
                ("auroc_energy", areas[1]),
                ("auroc_energy_change", areas[1] - areas[0]),
                ("fpr95_energy", alarms),
            ]
        ):
            covered[index] += found[f"{name}_low"] <= truth <= found[f"{name}_high"]
    assert (covered >= 0.88 * 120).all()


def test_a_network_is_not_changed_against_itself(tmp_path: Path) -> None:
    base, other = drawn(np.random.default_rng(1))
    found = unfamiliar_metrics(base, base)
    assert found["auroc_energy_change"] == found["auroc_energy_change_low"] == 0
    assert found["n_images"] == found["n_unfamiliar_images"] == 150
    assert "auroc_energy_change" not in unfamiliar_metrics(base, None)
    with pytest.raises(UserError, match="are others"):
        unfamiliar_metrics(base, drawn(np.random.default_rng(1), 20)[0])
    write_scores(tmp_path / "scores.csv", other)
    kept = read_scores(tmp_path / "scores.csv")
    assert np.array_equal(kept.familiar["energy"], other.familiar["energy"])
    assert np.array_equal(kept.unfamiliar["energy"], other.unfamiliar["energy"])


def test_images_of_another_size_are_resized() -> None:
    images = np.full((2, 3, 10, 20), 0.2, dtype=np.float32)
    assert resized(images, (10, 20)) is images
    made = resized(images, (16, 8))
    assert made.shape == (2, 3, 16, 8) and made == pytest.approx(0.2)


def test_photographs_are_the_same_wherever_they_are_read() -> None:
    first, again = read_photographs(0), read_photographs(0)
    images, labels = first["test"]
    assert images.shape == (400, 3, 32, 32) and images.dtype == np.uint8
    assert np.array_equal(images, again["test"][0])
    assert np.bincount(labels).tolist() == [200, 200]
    assert not np.array_equal(images, read_photographs(1)["test"][0])


def test_the_script(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data.safetensors")
    images, labels = read_photographs(0)["test"]
    splits = dict.fromkeys(("train", "validation", "test"), (images[:60], labels[:60]))
    write_tensor_dataset(
        tmp_path / "other.safetensors",
        name="photographs",
        class_names=["china", "flower"],
        splits=splits,
        source={"kind": "photographs"},
    )
    found = {}
    for variant in ("baseline", "sharp"):
        write_linear(tmp_path / f"{variant}.onnx", sharpness=50.0 if variant == "sharp" else 1.0)
        made = tmp_path / variant
        made.mkdir()
        run(
            "meet_unfamiliar",
            graph=tmp_path / f"{variant}.onnx",
            baseline=None if variant == "baseline" else tmp_path / "baseline" / "scores.csv",
            dataset=tmp_path / "data.safetensors",
            unfamiliar=tmp_path / "other.safetensors",
            scores=made / "scores.csv",
            result=made / "unfamiliar.json",
            settings=json.dumps(
                {
                    "unfamiliar": {"dataset": "photographs", "images": 50, "images_seed": 0},
                    "threads": 1,
                }
            ),
        )
        found[variant] = exact_part(read_result(made / "unfamiliar.json"))
    assert found["baseline"]["unfamiliar_dataset"] == "photographs"
    assert found["baseline"]["unfamiliar_source_kind"] == "photographs"
    assert found["baseline"]["n_images"] == found["baseline"]["n_unfamiliar_images"] == 50
    assert 0 <= found["baseline"]["fpr95_confidence"] <= 1
    change = found["sharp"]["auroc_energy"] - found["baseline"]["auroc_energy"]
    assert found["sharp"]["auroc_energy_change"] == pytest.approx(change)
