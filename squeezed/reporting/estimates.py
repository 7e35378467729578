"""Figures with their uncertainty: over seeds where there are several, over images otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from squeezed.reporting.collection import Experiment
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
    """Such as `3 seeds`, `360 images` or `5 repeats`; empty for an exact figure."""
    n: int = 0
    """How many of what `basis` counts."""

    @property
    def ends(self) -> tuple[float, float]:
        """The interval's ends; the figure itself where it is exact."""
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high

    @property
    def half_width(self) -> float | None:
        """Half the length of the interval."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2


def over_seeds(values: Mapping[int, float]) -> Estimate | None:
    """Return mean, standard deviation and Student's t interval; one seed has no interval."""
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
    """Return a metric over seeds; with one seed, with the interval that its result file gives.

    Args:
        experiment: whose results.
        variant: whose metric.
        analysis: the result file that holds it, without `.json`.
        name: the metric. `{name}_low` and `{name}_high` beside it are the interval over images;
            `{name}_min` and `{name}_max` the range over repeats.
        images: the field that counts the images.
    """
    values = experiment.values(variant, analysis, name)
    estimate = over_seeds(values)
    if estimate is None or len(values) > 1:
        return estimate
    seed = next(iter(values))
    record = experiment.record(seed, variant, analysis) or {}
    fields: dict[str, Any] = {**record, **record.get("measured", {})}
    if fields.get(f"{name}_low") is not None and fields.get(f"{name}_high") is not None:
        n = int(fields.get(images) or 0)
        low, high = float(fields[f"{name}_low"]), float(fields[f"{name}_high"])
        return Estimate(estimate.value, low, high, None, f"{n:,} images" if n else "images", n)
    if fields.get(f"{name}_min") is not None and fields.get(f"{name}_max") is not None:
        low, high = float(fields[f"{name}_min"]), float(fields[f"{name}_max"])
        return Estimate(estimate.value, low, high, None, "range of the repeats", 0)
    return estimate


def share(experiment: Experiment, variant: str, analysis: str, name: str) -> Estimate | None:
    """Return a share of images over seeds; with one seed, with Wilson's interval over images."""
    found = metric(experiment, variant, analysis, name)
    if found is None or found.low is not None:
        return found
    counts = experiment.values(variant, analysis, "n_images")
    if not counts:
        return found
    n = int(next(iter(counts.values())))
    low, high = wilson_interval(round(found.value * n), n)
    return Estimate(found.value, low, high, None, f"{n:,} images", n)


Scores = Callable[[pd.DataFrame], NDArray[np.float64]]


def _equal(predictions: pd.Series, labels: pd.Series) -> NDArray[np.float64]:
    return (predictions.to_numpy() == labels.to_numpy()).astype(np.float64)


def correct(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of a `predictions.csv`: 1 where the prediction is right."""
    return _equal(frame["prediction"], frame["label"])


def correct_after(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of an `attack_…_images.csv`: 1 where the class is right after the attack."""
    return _equal(frame["prediction_after"], frame["label"])


def correct_before(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of an `attack_…_images.csv`: 1 where the class was right before it."""
    return _equal(frame["prediction_before"], frame["label"])


def column(name: str) -> Scores:
    """Return the score that a column holds; all unknown where there is no such column."""

    def scores(frame: pd.DataFrame) -> NDArray[np.float64]:
        if name not in frame:
            return np.full(len(frame), np.nan)
        return frame[name].to_numpy(np.float64)

    return scores


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

    One seed: the interval is over images (Agresti and Min's for shares, normal otherwise). Several
    seeds: Student's t over the seeds' differences, and never narrower than the interval over
    images of the differences averaged over seeds, so that neither chance is forgotten.

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
        ours = _by_image(experiment.frame(seed, variant, file), scores)
        other = _by_image(
            experiment.frame(seed, reference, reference_file or file), reference_scores or scores
        )
        if ours is None or other is None:
            continue
        differences = (ours - other).dropna()
        if len(differences):
            by_seed[seed] = differences
    return _difference(by_seed)


def _by_image(frame: pd.DataFrame | None, scores: Scores) -> pd.Series | None:
    if frame is None or frame.empty:
        return None
    return pd.Series(scores(frame), index=frame["index"].to_numpy())


def _difference(by_seed: Mapping[int, pd.Series]) -> Estimate | None:
    if not by_seed:
        return None
    images = pd.concat(by_seed, axis=1).mean(axis=1).to_numpy(np.float64)
    if len(by_seed) == 1:
        low, high = _interval_over_images(images)
        return Estimate(
            float(images.mean()), low, high, None, f"{len(images):,} images", len(images)
        )
    estimate = over_seeds({seed: float(d.mean()) for seed, d in by_seed.items()})
    assert estimate is not None and estimate.half_width is not None
    low, high = normal_interval(images)
    # Where no image changed sides the normal interval has no width; this is Agresti and Min's.
    least = paired_proportion_interval(0, 0, len(images))[1]
    half = max(estimate.half_width, (high - low) / 2, least)
    return Estimate(
        estimate.value,
        estimate.value - half,
        estimate.value + half,
        estimate.spread,
        estimate.basis,
        estimate.n,
    )


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
        return Estimate(value)
    half = float(np.hypot(ours.half_width, other.half_width))
    return Estimate(value, value - half, value + half, None, ours.basis, ours.n)


IMAGE_SCORES = {
    "embedding": "embedding_images.csv",
    "tsne": "tsne.csv",
    "cam": "cam_images.csv",
}
"""The CSV beside an analysis that has each image's scores, in columns named like the metrics."""


def difference(
    experiment: Experiment, variant: str, analysis: str, name: str, reference: str = "baseline"
) -> Estimate | None:
    """Return a metric's difference, variant − reference: paired by image, by seed or not at all."""
    if analysis in IMAGE_SCORES:
        paired = paired_difference(
            experiment, variant, IMAGE_SCORES[analysis], column(name), reference=reference
        )
        if paired is not None:
            return paired
    ours = experiment.values(variant, analysis, name)
    other = experiment.values(reference, analysis, name)
    both = {seed: ours[seed] - other[seed] for seed in ours if seed in other}
    if len(both) > 1:
        return over_seeds(both)
    return unpaired_difference(
        metric(experiment, variant, analysis, name), metric(experiment, reference, analysis, name)
    )
