"""Figures with their uncertainty: over seeds where there are several, over images otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from squeezed.reporting.experiment import Experiment
from squeezed.reporting.image_scores import (
    Scores,
    by_image,
    scores_by_seed,
)
from squeezed.statistics.crossed import (
    CrossedEstimate,
    crossed_mean,
    crossed_share,
    crossed_share_difference,
)
from squeezed.statistics.intervals import (
    mean_interval_over_seeds,
    normal_interval,
    paired_proportion_interval,
    wilson_interval,
)


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval where there is one, and what the interval is over."""

    value: float
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    """Standard deviation over seeds."""
    basis: str = ""
    """Such as `3 seeds and 360 images` or `5 repeats`; empty for an exact figure."""
    n: int = 0
    """How many of what `basis` counts."""

    @property
    def ends(self) -> tuple[float, float]:
        """The interval's ends; the figure itself where it is exact."""
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high

    @property
    def is_open(self) -> bool:
        """Whether too few repeats or images are behind it for any verdict."""
        return self.basis in (TOO_FEW_REPEATS, TOO_FEW_IMAGES)

    @property
    def half_width(self) -> float | None:
        """Half the length of the interval."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2


def over_seeds(values: Mapping[int, float]) -> Estimate | None:
    """Return mean, standard deviation and Student's t interval; one seed has no interval.

    For what has no test images, such as a size or a time. It forgets the images of what has.
    """
    if not values:
        return None
    numbers = np.array(list(values.values()), dtype=np.float64)
    if len(numbers) == 1:
        return Estimate(float(numbers[0]))
    low, high = mean_interval_over_seeds(numbers)
    return Estimate(
        float(numbers.mean()),
        low,
        high,
        float(numbers.std(ddof=1)),
        f"{len(numbers)} seeds",
        len(numbers),
    )


def metric(
    experiment: Experiment, variant: str, analysis: str, name: str, *, images: str = "n_images"
) -> Estimate | None:
    """Return a metric with its interval: over seeds and images; with one seed, over its images.

    Several seeds: from the scores of each image where there are such (`ROWS`), so that what seeds
    share is told apart from what they do not; else the seeds' interval and that over images are
    added in quadrature, which is wider than need be; else over the seeds alone, as its basis says.

    Args:
        experiment: whose results.
        variant: whose metric.
        analysis: the result file that holds it, without `.json`.
        name: the metric. `{name}_low` and `{name}_high` beside it are the interval over images, or
            over `n_repeats` repeats of what is timed.
        images: the field that counts the images.
    """
    estimate = over_seeds(experiment.values(variant, analysis, name))
    if estimate is None:
        return None
    by_seed = [
        found
        for seed in experiment.values(variant, analysis, name)
        for found in [_of_one_network(experiment, seed, variant, analysis, name, images)]
    ]
    if estimate.n < 2:
        return by_seed[0]
    crossed = _crossed(scores_by_seed(experiment, variant, analysis, name))
    if crossed is not None and np.isclose(crossed.value, estimate.value, atol=1e-4):
        return crossed
    if any(found.basis == TOO_FEW_IMAGES for found in by_seed):
        return replace(estimate, low=None, high=None, basis=TOO_FEW_IMAGES)
    if any(found.low is None or REPEATS in found.basis for found in by_seed):
        return estimate
    return with_images(estimate, by_seed)


def share(experiment: Experiment, variant: str, analysis: str, name: str) -> Estimate | None:
    """Return a share of images like `metric`, with Wilson's interval where a result has none."""
    found = metric(experiment, variant, analysis, name)
    counts = experiment.values(variant, analysis, "n_images")
    if found is None or not counts or (found.low is not None and IMAGES in found.basis):
        return found
    wilson = share_of_one_network(found.value, int(next(iter(counts.values()))))
    return wilson if found.n < 2 else with_images(found, [wilson])


def share_of_one_network(value: float, n: int) -> Estimate:
    """Return a share of `n` images, with Wilson's interval."""
    low, high = wilson_interval(round(value * n), n)
    return Estimate(value, low, high, None, f"{n:,} {IMAGES} {OF_ONE_NETWORK}", n)


IMAGES, REPEATS, SEEDS = "images", "repeats", "seeds"
OF_ONE_NETWORK = "of one network"
TOO_FEW_REPEATS = "too few repeats for an interval"
TOO_FEW_IMAGES = "too few images for an interval"


def _of_one_network(
    experiment: Experiment, seed: int, variant: str, analysis: str, name: str, images: str
) -> Estimate:
    record = experiment.record(seed, variant, analysis) or {}
    fields: dict[str, Any] = {**record, **record.get("measured", {})}
    value = float(fields[name])
    if fields.get(f"{name}_low") is None or fields.get(f"{name}_high") is None:
        is_time = name in record.get("measured", {}) and not name.endswith("_mib")
        if is_time:
            return Estimate(value, basis=TOO_FEW_REPEATS)
        return Estimate(value, basis=TOO_FEW_IMAGES if f"{name}_low" in fields else "")
    low, high = float(fields[f"{name}_low"]), float(fields[f"{name}_high"])
    if fields.get("n_repeats"):
        n = int(fields["n_repeats"])
        return Estimate(value, low, high, None, f"{n} {REPEATS}", n)
    n = int(fields.get(images) or 0)
    counted = f"{n:,} {IMAGES}" if n else IMAGES
    return Estimate(value, low, high, None, f"{counted} {OF_ONE_NETWORK}", n)


def with_images(estimate: Estimate, by_seed: list[Estimate]) -> Estimate:
    """Add the interval over images to that over seeds, in quadrature."""
    assert estimate.low is not None and estimate.high is not None
    below = float(np.mean([e.value - e.low for e in by_seed if e.low is not None]))
    above = float(np.mean([e.high - e.value for e in by_seed if e.high is not None]))
    return Estimate(
        estimate.value,
        estimate.value - float(np.hypot(estimate.value - estimate.low, below)),
        estimate.value + float(np.hypot(estimate.high - estimate.value, above)),
        estimate.spread,
        _seeds_and_images(estimate.n, by_seed[0].n),
        estimate.n,
    )


def _seeds_and_images(seeds: int, images: int) -> str:
    return f"{seeds} {SEEDS} and {images:,} {IMAGES}" if images else f"{seeds} {SEEDS} and {IMAGES}"


def paired_difference(
    experiment: Experiment,
    variant: str,
    file: str,
    scores: Scores,
    *,
    reference: str = "baseline",
    reference_scores: Scores | None = None,
    reference_file: str | None = None,
) -> Estimate | None:
    """Return the mean difference, variant − reference, over the same images.

    One seed: the interval is over the images of these two networks (Tango's for shares,
    normal otherwise). Several seeds: over seeds and images (`squeezed.statistics.crossed`).

    Args:
        experiment: whose results.
        variant: the variant to compare.
        file: the CSV with a row for each image, and its `index`.
        scores: a figure for each row.
        reference: what to compare with.
        reference_scores: where the reference is scored otherwise (before and after an attack).
        reference_file: where the reference's rows are in another file.
    """
    by_seed: dict[int, pd.Series] = {}
    for seed in experiment.seeds:
        ours = by_image(experiment.frame(seed, variant, file), scores)
        other = by_image(
            experiment.frame(seed, reference, reference_file or file), reference_scores or scores
        )
        if ours is None or other is None:
            continue
        differences = (ours - other).dropna()
        if len(differences):
            by_seed[seed] = differences
    return _difference(by_seed)


def share_of_images(
    experiment: Experiment, variant: str, file: str, scores: Scores
) -> Estimate | None:
    """Return the share of images that score 1, with Wilson's interval, or over seeds and images.

    Args:
        experiment: whose results.
        variant: the variant.
        file: the CSV with a row for each image, and its `index`.
        scores: 0 or 1 for each row.
    """
    found = {
        seed: rows.dropna()
        for seed in experiment.seeds
        if (rows := by_image(experiment.frame(seed, variant, file), scores)) is not None
    }
    by_seed = {seed: rows for seed, rows in found.items() if len(rows)}
    crossed = _crossed(by_seed)
    if crossed is not None or not by_seed:
        return crossed
    images = next(iter(by_seed.values()))
    return share_of_one_network(int(images.sum()) / len(images), len(images))


def _difference(by_seed: Mapping[int, pd.Series]) -> Estimate | None:
    crossed = _crossed(by_seed)
    if crossed is not None or not by_seed:
        return crossed
    images = next(iter(by_seed.values())).to_numpy(np.float64)
    low, high = _interval_over_images(images)
    n = len(images)
    return Estimate(float(images.mean()), low, high, None, f"{n:,} {IMAGES} {OF_ONE_NETWORK}", n)


def _crossed(by_seed: Mapping[int, pd.Series]) -> Estimate | None:
    """Return the mean over seeds and images; None with fewer than two seeds."""
    if len(by_seed) < 2:
        return None
    scores = pd.concat(by_seed, axis=1).to_numpy(np.float64).T
    known = scores[~np.isnan(scores)]
    if np.isin(known, (0.0, 1.0)).all():
        found = crossed_share(scores)
    elif np.isin(known, (-1.0, 0.0, 1.0)).all():
        found = crossed_share_difference(scores)
    else:
        found = crossed_mean(scores)
    return crossed_estimate(found)


def crossed_estimate(found: CrossedEstimate) -> Estimate:
    """Return the estimate with its basis in words."""
    basis = _seeds_and_images(found.seeds, found.images)
    return Estimate(found.value, found.low, found.high, found.spread, basis, found.seeds)


def _interval_over_images(differences: NDArray[np.float64]) -> tuple[float, float]:
    if np.isin(differences, (-1.0, 0.0, 1.0)).all():
        gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
        return paired_proportion_interval(gained, lost, len(differences))
    return normal_interval(differences)


def unpaired_difference(ours: Estimate | None, other: Estimate | None) -> Estimate | None:
    """Return ours − other with the interval of independent figures.

    It is too wide where both come from the same images, which errs on the side of `undecided`.
    """
    if ours is None or other is None:
        return None
    value = ours.value - other.value
    if ours.half_width is None or other.half_width is None:
        few = next((found.basis for found in (ours, other) if found.is_open), "")
        return Estimate(value, basis=few)
    half = float(np.hypot(ours.half_width, other.half_width))
    return Estimate(value, value - half, value + half, None, ours.basis, ours.n)


def difference(
    experiment: Experiment, variant: str, analysis: str, name: str, reference: str = "baseline"
) -> Estimate | None:
    """Return a metric's difference, variant − reference: paired by image where images have scores.

    Else paired by seed, with the images' interval of independent figures in quadrature.
    """
    rows, others = (
        scores_by_seed(experiment, which, analysis, name) for which in (variant, reference)
    )
    paired = {seed: (rows[seed] - others[seed]).dropna() for seed in rows if seed in others}
    found = _difference({seed: changes for seed, changes in paired.items() if len(changes)})
    if found is not None:
        return found
    ours = experiment.values(variant, analysis, name)
    other = experiment.values(reference, analysis, name)
    over = over_seeds({seed: ours[seed] - other[seed] for seed in ours if seed in other})
    if over is None or over.n < 2:
        return unpaired_difference(
            metric(experiment, variant, analysis, name),
            metric(experiment, reference, analysis, name),
        )
    pairs = (
        [
            _of_one_network(experiment, seed, which, analysis, name, "n_images")
            for which in (variant, reference)
        ]
        for seed in ours
        if seed in other
    )
    by_seed = [change for pair in pairs if (change := unpaired_difference(*pair)) is not None]
    if any(change.is_open for change in by_seed):
        return replace(over, low=None, high=None, basis=TOO_FEW_IMAGES)
    if any(change.low is None for change in by_seed):
        return over
    return with_images(over, by_seed)
