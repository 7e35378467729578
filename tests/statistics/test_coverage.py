"""Intervals over seeds and images hold the truth as often as they say: simulations.

Each draws data from known sources of chance (a seed's, an image's, both together), many times over.
The runs of a case are drawn at once, so that a case takes a fraction of a second.
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from squeezed.statistics.crossed import (
    CrossedEstimate,
    crossed_mean,
    crossed_median,
    crossed_share,
    crossed_share_difference,
)
from squeezed.statistics.intervals import bootstrap_mean_interval, normal_interval
from squeezed.statistics.planning import image_error, images_needed, seeds_needed
from squeezed.statistics.times import speedup_interval

RUNS = 1000
LEAST, MOST = 0.93, 0.985
"""Each case has its own generator, so a case passes always or never."""

SEEDS = (3, 5)
SOURCES = {
    "images alone": (0.0, 1.0, 0.0),
    "seeds alone": (1.0, 0.0, 0.0),
    "both together alone": (0.0, 0.0, 1.0),
    "images and both": (0.0, 0.6, 0.8),
    "all": (0.05, 0.6, 0.8),
    "mostly seeds": (0.3, 0.6, 0.8),
}
"""Standard deviations of a seed's effect, an image's, and what one does with the other."""


def coverage(
    runs: Iterable[NDArray[np.floating]],
    estimate: Callable[[NDArray[np.floating]], CrossedEstimate],
    truth: float,
) -> float:
    found = [estimate(values) for values in runs]
    return float(np.mean([e.low <= truth <= e.high for e in found]))


def scores(sources: str, seeds: int, images: int, runs: int = RUNS) -> NDArray[np.float32]:
    """Draw scores with mean 0, shape (runs, seeds, images)."""
    generator = np.random.default_rng(0)
    seed, image, both = SOURCES[sources]

    def normal(*shape: int) -> NDArray[np.float32]:
        return generator.standard_normal(shape, dtype=np.float32)

    drawn = both * normal(runs, seeds, images)
    drawn += image * normal(runs, 1, images)
    return drawn + seed * normal(runs, seeds, 1)


@pytest.mark.parametrize("images", [12, 200])
@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("sources", SOURCES)
def test_means(sources: str, seeds: int, images: int) -> None:
    assert LEAST <= coverage(scores(sources, seeds, images), crossed_mean, 0.0) <= MOST


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("sources", [name for name in SOURCES if name != "seeds alone"])
def test_shares(sources: str, share: float, seeds: int) -> None:
    seed, image, both = SOURCES[sources]
    drawn = scores(sources, seeds, 400)
    threshold = stats.norm.ppf(share) * np.sqrt(seed**2 + image**2 + both**2)
    hits = (drawn < threshold).astype(np.float32)
    assert LEAST <= coverage(hits, crossed_share, share) <= MOST


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("agreement", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("gain, loss", [(0.03, 0.05), (0.01, 0.1), (0.04, 0.04)])
def test_paired_differences_of_shares(
    gain: float, loss: float, agreement: float, seeds: int
) -> None:
    """`agreement`: the share of images whose change is the same in all seeds."""
    generator = np.random.default_rng(1)

    def changes(*shape: int) -> NDArray[np.float32]:
        uniform = generator.random(shape, dtype=np.float32)
        return (uniform < gain).astype(np.float32) - (uniform > 1 - loss)

    alike = generator.random((RUNS, 1, 400)) < agreement
    drawn = np.where(alike, changes(RUNS, 1, 400), changes(RUNS, seeds, 400))
    assert LEAST <= coverage(drawn, crossed_share_difference, gain - loss) <= MOST


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_ratios(missing: float, seeds: int) -> None:
    """Lengths that differ manifold between images; some images are missing in some seeds."""
    generator = np.random.default_rng(2)
    runs = 3 * RUNS
    lengths = generator.lognormal(0, 1, (runs, 1, 150))
    ours = lengths * np.exp(scores("images and both", seeds, 150, runs) * 0.3 + 0.2)
    logarithms = np.log(ours / lengths)
    logarithms[generator.random(logarithms.shape) < missing] = np.nan
    assert LEAST <= coverage(logarithms, crossed_mean, 0.2) <= MOST


@pytest.mark.parametrize("seeds", SEEDS)
def test_medians_of_ratios(seeds: int) -> None:
    """Long tails; a fifth of the images are missing in some seeds."""
    runs = 200
    drawn = np.exp(scores("images and both", seeds, 100, runs))
    drawn[np.random.default_rng(7).random(drawn.shape) < 0.2] = np.nan
    assert LEAST <= coverage(drawn, lambda v: crossed_median(v, resamples=150), 1.0) <= 0.99


@pytest.mark.parametrize("images", [8, 16, 60])
@pytest.mark.parametrize("interval", [normal_interval, partial(bootstrap_mean_interval, seed=0)])
def test_means_of_few_images_of_one_network(
    interval: Callable[[NDArray[np.floating]], tuple[float, float]], images: int
) -> None:
    """As activation maps have them; the normal quantile covers 91 % of eight."""
    drawn = np.random.default_rng(8).standard_normal((RUNS, images))
    ends = np.array([interval(values) for values in drawn])
    assert LEAST <= np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0)) <= MOST


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("images", [12, 20, 48])
@pytest.mark.parametrize("gain, loss", [(0.0, 0.05), (0.0, 0.1), (0.0, 0.2), (0.02, 0.3)])
def test_paired_differences_of_few_images(
    gain: float, loss: float, images: int, seeds: int
) -> None:
    """As attacks have them: images lost, the same ones in all seeds, and hardly any gained.

    They are whole images, so that no interval covers these differences in 95 % of all cases: where
    12 images all stay with a probability of 54 %, it is 54 % that the interval of that outcome is
    worth. There is no upper bound here.
    """
    uniform = np.random.default_rng(9).random((RUNS, 1, images))
    changes = (uniform < gain).astype(np.float32) - (uniform > 1 - loss)
    drawn = np.repeat(changes, seeds, axis=1)
    assert coverage(drawn, crossed_share_difference, gain - loss) >= LEAST


def test_rare_changes_are_covered_though_generously() -> None:
    for share in (0.99, 0.999):
        generator = np.random.default_rng(3)
        hits = (generator.random((RUNS, 5, 200)) < share).astype(np.float32)
        assert coverage(hits, crossed_share, share) >= LEAST
        assert coverage(hits - 1, crossed_share_difference, share - 1) >= LEAST


def test_the_seeds_alone_are_too_sure() -> None:
    """What the intervals were: Student's t over seeds, which forgets the images."""
    drawn = scores("images and both", 3, 200).mean(axis=2)
    half = stats.t.ppf(0.975, 2) * drawn.std(axis=1, ddof=1) / 3**0.5
    assert np.mean(abs(drawn.mean(axis=1)) <= half) < 0.9


@pytest.mark.parametrize("distance, image_error", [(0.01, 0.0), (0.01, 0.002), (0.02, 0.004)])
def test_so_many_seeds_decide_as_often_as_they_say(distance: float, image_error: float) -> None:
    """Four times in five with that many seeds, far less often with half of them."""
    spread = 0.012
    needed = seeds_needed(distance, spread, image_error)
    assert needed is not None

    def decided(seeds: int) -> float:
        generator = np.random.default_rng(4)
        means = generator.normal(distance, spread, (20_000, seeds))
        means += generator.normal(0, image_error, (20_000, 1))
        half = np.hypot(
            stats.t.ppf(0.975, seeds - 1) * means.std(axis=1, ddof=1) / seeds**0.5,
            1.96 * image_error,
        )
        return float(np.mean(abs(means.mean(axis=1)) > half))

    assert 0.74 <= decided(needed) <= 0.93
    assert decided(max(2, needed // 2)) < 0.7


def test_more_seeds_do_not_take_the_images_chance_away() -> None:
    assert seeds_needed(0.01, 0.012, image_error=0.006) is None
    assert seeds_needed(1e-4, 0.012) is None
    drawn = scores("images and both", 3, 200)[0]
    found = crossed_mean(drawn)
    parts = image_error((found.high - found.low) / 2, found.spread, 3)
    assert parts == pytest.approx(found.image_error, rel=0.01)
    assert image_error(1.0, 3**0.5 / stats.t.ppf(0.975, 2), 3) == 0


def test_so_many_images_decide_as_often_as_they_say() -> None:
    share, n = 0.03, 200
    needed = images_needed(share, 1.96 * 0.2 / n**0.5, n)
    generator = np.random.default_rng(5)
    for images, bounds in ((needed, (0.75, 0.85)), (needed // 3, (0.0, 0.5))):
        means = generator.normal(share, 0.2 / images**0.5, 20_000)
        assert bounds[0] <= np.mean(abs(means) > 1.96 * 0.2 / images**0.5) <= bounds[1]


@pytest.mark.parametrize("repeats", [5, 9])
def test_speedups(repeats: int) -> None:
    """A machine whose noise slows both of a pair; some repeats are disturbed on one side."""
    generator = np.random.default_rng(6)
    common = generator.lognormal(0, 0.2, (RUNS, repeats))
    own, other = generator.lognormal(0, 0.03, (2, RUNS, repeats))
    covered = 0
    for run in range(RUNS):
        interval = speedup_interval(common[run] * own[run], 2.5 * common[run] * other[run])
        assert interval is not None
        covered += interval[0] <= 2.5 <= interval[1]
    assert LEAST <= covered / RUNS <= MOST
