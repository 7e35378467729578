"""Figures with their uncertainty: intervals over images and seeds, paired differences."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from squeezed.reporting.collection import collect
from squeezed.reporting.estimates import (
    TOO_FEW_REPEATS,
    Estimate,
    difference,
    metric,
    over_seeds,
    paired_difference,
    share,
)
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_robustness import robust_accuracy
from squeezed.reporting.image_scores import correct
from squeezed.reporting.measures import accuracy_drop, distance_ratio
from squeezed.statistics.intervals import (
    bootstrap_mean_interval,
    mcnemar_p_value,
    mean_interval_over_seeds,
    normal_interval,
    paired_proportion_interval,
    wilson_interval,
)
from tests.report.made_up import MadeUp, paper_like


def results(
    folder: Path, made_up: MadeUp, seeds: tuple[int, ...] = (0,), *parts: str
) -> Experiment:
    """Write made-up results and collect them."""
    (experiment,) = collect(made_up.write(folder, seeds=seeds, parts=parts or ("evaluation",)))
    return experiment


@given(st.integers(1, 500), st.data())
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    theirs = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=9))
def test_the_interval_over_seeds_is_students(values: list[float]) -> None:
    numbers = np.array(values)
    low, high = mean_interval_over_seeds(numbers)
    if numbers.std() > 1e-6:
        theirs = stats.t.interval(
            0.95, len(values) - 1, loc=numbers.mean(), scale=stats.sem(numbers)
        )
        assert (low, high) == pytest.approx(theirs)


def test_one_seed_has_no_interval_over_seeds() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        mean_interval_over_seeds(np.array([1.0]))
    assert over_seeds({0: 1.0}) == Estimate(1.0)
    assert over_seeds({}) is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_sign_test(gained: int, lost: int) -> None:
    before = np.array([False] * gained + [True] * lost + [True] * 5)
    after = np.array([True] * gained + [False] * lost + [True] * 5)
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar_p_value(before, after) == pytest.approx(expected)


def test_paired_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    gain, loss, n, covered, runs = 0.02, 0.05, 300, 0, 2000
    for _ in range(runs):
        gained, lost, _ = generator.multinomial(n, [gain, loss, 1 - gain - loss])
        low, high = paired_proportion_interval(int(gained), int(lost), n)
        covered += low <= gain - loss <= high
    assert 0.93 < covered / runs < 0.98


def test_paired_interval_keeps_a_width_without_changes() -> None:
    low, high = paired_proportion_interval(0, 0, 360)
    assert -low == pytest.approx(high) == pytest.approx(1.96**2 / (360 + 1.96**2), rel=1e-4)
    with pytest.raises(ValueError, match="cannot be"):
        paired_proportion_interval(3, 3, 5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.data())
def test_paired_interval_ends_where_the_score_test_refuses(n: int, data: st.DataObject) -> None:
    """Tango's statistic, with the likeliest share of lost images found by search."""
    gained = data.draw(st.integers(0, n))
    lost = data.draw(st.integers(0, n - gained))

    def statistic(difference: float) -> float:
        def unlikelihood(share: float) -> float:
            cells = np.array([share + difference, share, 1 - 2 * share - difference])
            counts = np.array([gained, lost, n - gained - lost])
            return -float(special.xlogy(counts, np.maximum(cells, 1e-300)).sum())

        span = max(0.0, -difference), (1 - difference) / 2
        share = optimize.minimize_scalar(
            unlikelihood, bounds=span, method="bounded", options={"xatol": 1e-12}
        ).x
        variance = (2 * share + difference - difference**2) / n
        return float(((gained - lost) / n - difference) / variance**0.5)

    for end, sign in zip(paired_proportion_interval(gained, lost, n), (1, -1), strict=True):
        if abs(end) < 1 - 1e-9:
            assert statistic(end) == pytest.approx(sign * 1.96, rel=2e-3)


def test_intervals_of_means_agree_where_there_are_many() -> None:
    values = np.random.default_rng(0).normal(1.0, 2.0, 4000)
    assert normal_interval(values) == pytest.approx(
        bootstrap_mean_interval(values, seed=0), abs=0.01
    )
    assert normal_interval(np.array([1.0])) == (-np.inf, np.inf)


def test_one_seed_takes_the_interval_of_the_result_file(tmp_path: Path) -> None:
    experiment = results(tmp_path, paper_like())
    found = metric(experiment, "baseline", "evaluation", "top1_accuracy")
    assert found is not None
    assert (found.low, found.high) == wilson_interval(975, 1000)
    assert found.basis == "1,000 images of one network"
    speed = metric(experiment, "quantized", "inference_timing", "speedup")
    assert speed is not None
    assert (speed.low, speed.value, speed.high) == (3.0, 3.1, 3.2)
    assert speed.basis == "5 repeats"
    assert metric(experiment, "quantized", "evaluation", "no_such_metric") is None
    flipped = share(experiment, "quantized", "evaluation", "flipped_share")
    assert flipped is not None
    assert (flipped.low, flipped.high) == wilson_interval(3, 1000)


def test_a_range_of_repeats_is_no_interval(tmp_path: Path) -> None:
    experiment = results(tmp_path, paper_like())
    times = experiment.records[0, "quantized", "inference_timing"]["measured"]
    for end, name in (("low", "min"), ("high", "max")):
        times[f"speedup_{name}"] = times.pop(f"speedup_{end}")
    found = metric(experiment, "quantized", "inference_timing", "speedup")
    assert found == Estimate(3.1, basis=TOO_FEW_REPEATS)


def test_several_seeds_take_their_mean_and_spread(tmp_path: Path) -> None:
    experiment = results(tmp_path, paper_like(), (0, 1, 2))
    found = metric(experiment, "baseline", "evaluation", "top1_accuracy")
    values = np.array([0.975, 0.974, 0.973])
    assert found is not None
    assert found.value == pytest.approx(values.mean())
    assert found.spread == pytest.approx(values.std(ddof=1))
    assert found.basis == "3 seeds and 1,000 images"


def test_differences_are_paired_by_image_whatever_the_order(tmp_path: Path) -> None:
    experiment = results(tmp_path, MadeUp(accuracy={"baseline": 0.9, "pruned": 0.88}))
    drop = accuracy_drop(experiment, "pruned")
    path = experiment.path(0, "pruned", "predictions.csv")
    pd.read_csv(path).sample(frac=1, random_state=0).to_csv(path, index=False)
    experiment.frames_read.clear()
    assert accuracy_drop(experiment, "pruned") == drop
    assert drop is not None
    # 20 of 1,000 images were lost and none gained: far narrower than two independent intervals.
    assert drop.value == pytest.approx(0.02)
    assert drop.half_width is not None
    assert drop.half_width < 0.010
    experiment.path(0, "pruned", "predictions.csv").unlink()
    experiment.frames_read.clear()
    unpaired = accuracy_drop(experiment, "pruned")
    assert unpaired is not None
    assert unpaired.half_width is not None
    assert unpaired.half_width > 0.02


def test_over_seeds_a_difference_is_never_surer_than_its_images(tmp_path: Path) -> None:
    experiment = results(
        tmp_path, MadeUp(n=400, accuracy={"baseline": 0.9, "pruned": 0.85}), (0, 1, 2)
    )
    found = paired_difference(experiment, "pruned", "predictions.csv", correct)
    assert found is not None
    assert found.value == pytest.approx(-0.05)
    assert found.half_width is not None
    # Every seed differs by exactly 5 points, but 400 images cannot tell that so exactly.
    assert 0.015 < found.half_width < 0.03


def test_seeds_that_agree_are_no_surer_than_their_images(tmp_path: Path) -> None:
    """Three networks that are right about the same images: there are 1,000 images, not 3,000."""
    experiment = results(tmp_path, MadeUp(accuracy={"baseline": 0.9}), (0, 1, 2))
    found = metric(experiment, "baseline", "evaluation", "top1_accuracy")
    assert found is not None and found.half_width is not None
    low, high = wilson_interval(900, 1000)
    assert found.half_width >= 0.99 * (high - low) / 2
    # Without the images' own rows: both intervals, in quadrature.
    for seed in experiment.seeds:
        experiment.path(seed, "baseline", "predictions.csv").unlink()
    experiment.frames_read.clear()
    rough = share(experiment, "baseline", "evaluation", "top1_accuracy")
    assert rough is not None and rough.half_width is not None
    assert rough.half_width >= 0.99 * (high - low) / 2
    assert rough.basis == found.basis == "3 seeds and 1,000 images"


def test_scores_of_images_are_paired(tmp_path: Path) -> None:
    experiment = results(tmp_path, MadeUp(), (0,), "explanations")
    rough = difference(experiment, "pruned", "embedding", "silhouette")
    scores = np.random.default_rng(0).normal(0.4, 0.3, 500)
    for variant, gain in (("baseline", 0.0), ("pruned", 0.01)):
        frame = pd.DataFrame({"index": np.arange(500), "silhouette": scores + gain})
        frame.to_csv(experiment.path(0, variant, "embedding_images.csv"), index=False)
    experiment.frames_read.clear()
    paired = difference(experiment, "pruned", "embedding", "silhouette")
    assert rough is not None and rough.value == pytest.approx(0)
    assert paired is not None and paired.value == pytest.approx(0.01)
    assert paired.half_width is not None and paired.half_width < 0.01


def test_differences_over_seeds_keep_the_images_chance(tmp_path: Path) -> None:
    """Three seeds whose errors grew by the same: how far, their images cannot tell so exactly."""
    experiment = results(tmp_path, MadeUp(n=400), (0, 1, 2))
    name = "expected_calibration_error"
    for seed in experiment.seeds:
        for variant, value in (("baseline", 0.02), ("pruned", 0.05)):
            record = experiment.records[seed, variant, "evaluation"]
            record |= {name: value, f"{name}_low": value - 0.01, f"{name}_high": value + 0.01}
    found = difference(experiment, "pruned", "evaluation", name)
    assert found is not None and found.value == pytest.approx(0.03)
    assert found.half_width == pytest.approx(0.01 * 2**0.5)
    assert found.basis == "3 seeds and 400 images"


def test_scores_of_images_beside_an_evaluation_are_paired(tmp_path: Path) -> None:
    experiment = results(tmp_path, MadeUp(n=400), (0, 1, 2))
    scores = np.random.default_rng(0).exponential(0.2, 400)
    for seed in experiment.seeds:
        for variant, loss in (("baseline", 0.0), ("pruned", 0.01)):
            path = experiment.path(seed, variant, "predictions.csv")
            frame = pd.read_csv(path).sort_values("index")
            frame.assign(brier_score=scores + loss).to_csv(path, index=False)
    experiment.frames_read.clear()
    found = difference(experiment, "pruned", "evaluation", "brier_score")
    assert found is not None and found.value == pytest.approx(0.01)
    assert found.half_width == pytest.approx(0, abs=1e-9)


def test_distances_are_compared_on_the_same_images(tmp_path: Path) -> None:
    made_up = MadeUp(strong_l2={"baseline": 1.0, "pruned": 0.5})
    experiment = results(tmp_path, made_up, (0,), "attacks")
    ratio = distance_ratio(experiment, "pruned")
    assert ratio is not None
    assert ratio.value == pytest.approx(0.5, rel=0.1)
    assert ratio.low is not None and ratio.high is not None
    assert ratio.low <= 0.5 <= ratio.high


def test_each_image_is_compared_with_itself(tmp_path: Path) -> None:
    """Lengths that differ a thousandfold between images, and by a fifth between variants."""
    experiment = results(tmp_path, MadeUp(), (0,), "attacks")
    lengths = np.random.default_rng(0).lognormal(0, 2, 60)
    for variant, factor in (("baseline", 1.0), ("pruned", 1.2)):
        frame = pd.DataFrame({"index": np.arange(60), "success": 1, "l2": factor * lengths})
        frame.to_csv(experiment.path(0, variant, "attack_strong_images.csv"), index=False)
    ratio = distance_ratio(experiment, "pruned")
    assert ratio is not None
    assert ratio.low == pytest.approx(1.2) and ratio.high == pytest.approx(1.2)


def test_robust_accuracy_counts_each_image_until_its_budget() -> None:
    images = pd.DataFrame(
        {
            "label": [0, 1, 2, 3],
            "prediction_before": [0, 1, 2, 0],
            "success": [1, 1, 0, 0],
            "l2": [0.5, 1.0, np.nan, np.nan],
        }
    )
    curve = robust_accuracy(images, np.array([0.0, 0.4, 0.5, 0.9, 1.0, 9.0]))
    assert curve.tolist() == [0.75, 0.75, 0.5, 0.5, 0.25, 0.25]
