"""Closed forms of the statistics: components of variance, Holm, times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from squeezed.statistics.comparisons import holm
from squeezed.statistics.crossed import (
    crossed_mean,
    crossed_median,
    crossed_share,
    crossed_share_difference,
)
from squeezed.statistics.intervals import normal_p_value
from squeezed.statistics.proportions import wilson_interval
from squeezed.statistics.times import speedup_interval, typical_time_interval


def test_the_components_are_those_of_the_analysis_of_variance() -> None:
    values = np.random.default_rng(0).normal(size=(4, 50)) + np.linspace(0, 3, 50)
    found = crossed_mean(values)
    seeds, images = values.shape
    rows, columns, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    residual = values - rows[:, None] - columns + mean
    of_images = seeds * ((columns - mean) ** 2).sum() / (images - 1)
    of_both = (residual**2).sum() / ((seeds - 1) * (images - 1))
    assert found.image_error**2 == pytest.approx((of_images - of_both) / seeds / images)
    assert found.spread == pytest.approx(rows.std(ddof=1))
    assert (found.seeds, found.images) == (4, 50)


def test_seeds_that_agree_on_every_image_leave_wilsons_interval() -> None:
    hits = np.tile(np.arange(400) % 10 != 0, (3, 1)).astype(float)
    found = crossed_share(hits)
    assert (found.low, found.high) == pytest.approx(wilson_interval(360, 400), abs=1e-3)


def test_networks_without_a_fault_are_not_perfect() -> None:
    found = crossed_share(np.ones((3, 100)))
    assert (found.low, found.high) == pytest.approx(wilson_interval(100, 100))
    unchanged = crossed_share_difference(np.zeros((3, 100)))
    assert unchanged.low == -unchanged.high < 0


def test_seeds_of_other_images_leave_students_interval() -> None:
    values = np.full((3, 30), np.nan)
    for seed in range(3):
        values[seed, 10 * seed : 10 * seed + 10] = np.random.default_rng(seed).normal(size=10)
    found = crossed_mean(values)
    means = np.nanmean(values, axis=1)
    half = stats.t.ppf(0.975, 2) * stats.sem(means)
    assert found.image_error == 0
    assert (found.low, found.high) == pytest.approx((means.mean() - half, means.mean() + half))


def test_medians_are_numpys() -> None:
    values = np.random.default_rng(0).normal(size=(3, 41))
    values[0, :20] = np.nan
    values[1, :7] = np.nan
    found = crossed_median(values)
    assert found.value == pytest.approx(np.nanmedian(values, axis=1).mean())
    assert found.spread == pytest.approx(np.nanmedian(values, axis=1).std(ddof=1))
    assert found.low < found.value < found.high
    with pytest.raises(ValueError, match="two seeds"):
        crossed_median(values[:1])


@pytest.mark.parametrize(
    "estimate, values",
    [
        (crossed_mean, np.ones((1, 5))),
        (crossed_mean, np.ones(5)),
        (crossed_mean, np.array([[1.0, 2.0], [np.nan, np.nan]])),
        (crossed_share, np.full((2, 5), 0.5)),
        (crossed_share_difference, np.full((2, 5), 2.0)),
    ],
)
def test_what_cannot_be_estimated_is_refused(estimate, values) -> None:
    with pytest.raises(ValueError):
        estimate(values)


@given(hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_is_scipys_step_down(p_values: np.ndarray) -> None:
    """Its definition, one by one."""
    order = np.argsort(p_values, kind="stable")
    expected, least = np.empty(len(p_values)), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        expected[index] = least
    assert holm(p_values) == pytest.approx(expected)


def test_holm_of_a_textbook() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert len(holm(np.array([]))) == 0


def test_p_values_of_means() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, 200)
    theirs = 2 * stats.norm.sf(abs(values.mean()) / stats.sem(values))
    assert normal_p_value(values) == pytest.approx(theirs)
    assert normal_p_value(np.zeros(9)) == normal_p_value(np.ones(1)) == 1
    assert normal_p_value(np.ones(9)) == 0


def test_times_have_an_interval_from_five_repeats_on() -> None:
    seconds = np.array([1.0, 1.1, 0.9, 1.05, 0.95])
    assert typical_time_interval(seconds[:4]) is None
    assert speedup_interval(seconds[:3], seconds[:3]) is None
    interval = typical_time_interval(seconds)
    theirs = stats.t.interval(0.95, 4, np.log(seconds).mean(), stats.sem(np.log(seconds)))
    assert interval == pytest.approx(np.exp(theirs))
    assert speedup_interval(seconds, 3 * seconds) == pytest.approx((3, 3))
    with pytest.raises(ValueError, match="paired"):
        speedup_interval(seconds, seconds[:4])
