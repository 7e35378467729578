"""The figures read from an attack, by hand; batches that survive a kill; the light interval."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from squeezed.attacks.finished_batches import FinishedBatches
from squeezed.attacks.outcome import (
    attack_metrics,
    robust_accuracy_curve,
    rounded_to_pixels,
    write_table,
)
from squeezed.statistics.intervals import wilson_interval as scipy_wilson_interval
from squeezed.statistics.proportions import wilson_interval

NAN = float("nan")
TABLE = {
    "label": np.array([0, 1, 2, 0]),
    "prediction_before": np.array([0, 1, 1, 0]),
    "prediction_after": np.array([1, 1, 1, 2]),
    "prediction_last": np.array([0, 1, 1, 2]),
    "attackable": np.array([True, True, False, True]),
    "success": np.array([True, False, False, True]),
    "still_fools_rounded": np.array([False, False, False, True]),
    "l2": np.array([0.5, NAN, NAN, 0.25]),
    "linf": np.array([0.1, NAN, NAN, 0.3]),
    "l2_last": np.array([0.4, 0.2, 0.0, 0.3]),
    "linf_last": np.array([0.1, 0.05, 0.0, 0.3]),
    "confidence_before": np.array([0.9, 0.8, 0.6, 0.7]),
    "confidence_after": np.array([0.5, 0.8, 0.6, 0.5]),
    "confidence_last": np.array([0.4, 0.7, 0.6, 0.6]),
    "iterations": np.array([40, 40, 0, 20]),
}


def test_figures_are_those_computed_by_hand() -> None:
    metrics = attack_metrics(TABLE)
    assert metrics["n_images"] == 4 and metrics["n_attackable"] == 3 and metrics["n_fooled"] == 2
    assert metrics["accuracy_before"] == 0.75
    assert metrics["accuracy_after"] == 0.25
    assert metrics["accuracy_after_last"] == 0.5
    assert metrics["confidence_before"] == pytest.approx(0.75)
    assert metrics["confidence_after"] == pytest.approx(0.575)
    assert metrics["confidence_after_best"] == pytest.approx(0.6)
    assert metrics["success_rate"] == pytest.approx(2 / 3)
    assert metrics["success_rate_low"] < 2 / 3 < metrics["success_rate_high"]
    assert metrics["success_rate_rounded"] == pytest.approx(1 / 3)
    assert metrics["l2_mean"] == metrics["l2_median"] == 0.375
    assert metrics["linf_mean"] == pytest.approx(0.2)
    assert metrics["max_abs_change"] == 0.3
    assert metrics["iterations_mean"] == pytest.approx(100 / 3)


def test_figures_that_do_not_exist_are_none() -> None:
    nothing = {**TABLE, "attackable": np.zeros(4, bool), "success": np.zeros(4, bool)}
    metrics = attack_metrics(nothing)
    assert metrics["n_attackable"] == 0
    for name in ("success_rate", "success_rate_low", "l2_mean", "linf_median", "max_abs_change"):
        assert metrics[name] is None, name


def test_curve_steps_down_at_each_distance() -> None:
    curve = robust_accuracy_curve(TABLE)
    assert curve["l2_budget"].tolist() == [0, 0.25, 0.5]
    assert curve["robust_accuracy"].tolist() == [0.75, 0.5, 0.25]


def test_rounding_gives_whole_grey_levels() -> None:
    images = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 1.0])
    assert (rounded_to_pixels(images) * 255).tolist() == [0, 0, 1, 255]


def test_table_is_written_with_empty_cells_for_nan(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    ok = np.array([True, True])
    write_table(path, {"index": np.array([3, 4]), "l2": np.array([0.5, NAN]), "ok": ok})
    assert path.read_text() == "index,l2,ok\n3,0.5,1\n4,,1\n"


# --- resuming ---


def test_killed_work_goes_on_after_the_last_finished_batch(tmp_path: Path) -> None:
    done: list[int] = []

    def work(batch: int) -> Mapping[str, Tensor]:
        if batch == 3 and 3 not in done:
            done.append(3)
            raise KeyboardInterrupt
        done.append(batch)
        return {"value": torch.full((2,), float(batch))}

    result = tmp_path / "attack.json"
    with pytest.raises(KeyboardInterrupt):
        FinishedBatches(result, {"c": 1}).run([1, 2, 3, 4], work, "test")
    finished = FinishedBatches(result, {"c": 1})
    joined = finished.run([1, 2, 3, 4], work, "test")
    assert done == [1, 2, 3, 3, 4]
    assert joined["value"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    finished.remove()
    assert list(tmp_path.iterdir()) == []


def test_batches_of_other_settings_are_thrown_away(tmp_path: Path) -> None:
    result = tmp_path / "attack.json"
    other = FinishedBatches(tmp_path / "attack_strong.json", {"c": 1})
    other.run([0], lambda batch: {"value": torch.zeros(1)}, "test")
    FinishedBatches(result, {"c": 1}).run([0], lambda batch: {"value": torch.zeros(1)}, "test")
    joined = FinishedBatches(result, {"c": 2}).run(
        [0], lambda batch: {"value": torch.ones(1)}, "test"
    )
    assert joined["value"].tolist() == [1]
    assert len(list(tmp_path.glob(".attack.batches.*"))) == 1
    assert other.folder.exists()


# --- the interval ---


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_light_interval_is_scipys(successes_n: tuple[int, int]) -> None:
    expected = scipy_wilson_interval(*successes_n)
    assert wilson_interval(*successes_n) == pytest.approx(expected, abs=1e-9)


def test_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(0, 0)
