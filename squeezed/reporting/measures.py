"""The quantities that claims, sentences and figures speak of, each computed in one place."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from squeezed.reporting.estimates import (
    IMAGES,
    OF_ONE_NETWORK,
    Estimate,
    crossed_estimate,
    difference,
    metric,
    over_seeds,
    paired_difference,
    share,
)
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.image_scores import correct, correct_after, correct_before
from squeezed.statistics.crossed import crossed_median

BOOTSTRAP_DRAWS = 1000


def negated(estimate: Estimate | None) -> Estimate | None:
    """Return −estimate: a loss from a gain."""
    if estimate is None:
        return None
    return Estimate(
        -estimate.value,
        None if estimate.high is None else -estimate.high,
        None if estimate.low is None else -estimate.low,
        estimate.spread,
        estimate.basis,
        estimate.n,
    )


def accuracy(experiment: Experiment, variant: str) -> Estimate | None:
    """Return top-1 accuracy on the test images."""
    return share(experiment, variant, "evaluation", "top1_accuracy")


def accuracy_drop(experiment: Experiment, variant: str) -> Estimate | None:
    """Return baseline − variant in top-1 accuracy, paired over images."""
    paired = paired_difference(experiment, variant, "predictions.csv", correct)
    return negated(paired or difference(experiment, variant, "evaluation", "top1_accuracy"))


def ratio_to_baseline(
    experiment: Experiment, variant: str, analysis: str, name: str
) -> Estimate | None:
    """Return variant / baseline of a metric, by seed."""
    ours = experiment.values(variant, analysis, name)
    other = experiment.values("baseline", analysis, name)
    return over_seeds({seed: ours[seed] / other[seed] for seed in ours if other.get(seed)})


def size_ratio(experiment: Experiment, variant: str) -> Estimate | None:
    """Return the size of the deployed file, as a share of the baseline's."""
    return ratio_to_baseline(experiment, variant, "evaluation", "onnx_size_bytes")


def over_one(ratio: Estimate | None) -> Estimate | None:
    """Return ratio − 1: the gain, where more is better."""
    if ratio is None:
        return None
    low, high = (None if end is None else end - 1 for end in (ratio.low, ratio.high))
    return replace(ratio, value=ratio.value - 1, low=low, high=high)


def speedup(experiment: Experiment, variant: str) -> Estimate | None:
    """Return how many times faster than the baseline, both timed in turn in one job."""
    return metric(experiment, variant, "inference_timing", "speedup")


def attack_drop(experiment: Experiment, variant: str, attack: str) -> Estimate | None:
    """Return how much accuracy an attack takes: before − after, paired over images."""
    return negated(
        paired_difference(
            experiment,
            variant,
            f"{attack}_images.csv",
            correct_after,
            reference=variant,
            reference_scores=correct_before,
        )
    )


def accuracy_after_difference(experiment: Experiment, variant: str, attack: str) -> Estimate | None:
    """Return variant − baseline in accuracy after an attack, paired over images."""
    return paired_difference(experiment, variant, f"{attack}_images.csv", correct_after)


def extra_attack_drop(experiment: Experiment, variant: str, attack: str) -> Estimate | None:
    """Return how much more accuracy an attack takes from a variant than from the baseline."""

    def change(frame: pd.DataFrame) -> NDArray[np.float64]:
        return correct_before(frame) - correct_after(frame)

    return paired_difference(experiment, variant, f"{attack}_images.csv", change)


def attack_speedup(experiment: Experiment, variant: str) -> Estimate | None:
    """Return how many times faster the attack runs on a variant than on the baseline.

    One seed: the interval comes from those of both, where the results have them.
    """
    name = "attack_time_per_image_ms"
    ours = experiment.values(variant, "attack_timing", name)
    other = experiment.values("baseline", "attack_timing", name)
    ratios = {seed: other[seed] / ours[seed] for seed in ours if seed in other and ours[seed] > 0}
    estimate = over_seeds(ratios)
    if estimate is None or len(ratios) > 1:
        return estimate
    mine = metric(experiment, variant, "attack_timing", name)
    base = metric(experiment, "baseline", "attack_timing", name)
    assert mine is not None and base is not None
    if mine.low and mine.high and base.low and base.high:
        return Estimate(
            estimate.value, base.low / mine.high, base.high / mine.low, None, mine.basis, 0
        )
    return estimate


def unreliable_reason(experiment: Experiment, variant: str) -> str | None:
    """Return why a variant's robustness figures are not to be believed, or None."""
    for seed in experiment.seeds:
        record = experiment.record(seed, variant, "diagnostics")
        if record is not None and not record.get("reliable", True):
            return without_verdict(str(record.get("reason", "a diagnostic fails")))
    return None


def without_verdict(reason: str) -> str:
    """Return a reason of the gate without the word that it begins with, where that is said."""
    return reason.removeprefix("Unreliable: ")


def distance_ratio(
    experiment: Experiment, variant: str, reference: str = "baseline"
) -> Estimate | None:
    """Return by how much longer the same image's change must be than the reference's: the median.

    Of the strong attack, over the images that it fools in both. Image by image, because lengths
    differ more between images than between variants. One seed: the interval is the bootstrap's
    over the images of these two networks.
    """
    ratios: dict[int, pd.Series] = {}
    for seed in experiment.seeds:
        ours = experiment.frame(seed, variant, f"{experiment.strong_attack}_images.csv")
        other = experiment.frame(seed, reference, f"{experiment.strong_attack}_images.csv")
        if ours is None or other is None:
            continue
        both = ours.merge(other, on="index", suffixes=("", "_baseline")).set_index("index")
        fooled = both["success"].astype(bool) & both["success_baseline"].astype(bool)
        if fooled.sum() >= 2:
            ratios[seed] = (both["l2"] / both["l2_baseline"])[fooled]
    if not ratios:
        return None
    if len(ratios) > 1:
        return crossed_estimate(crossed_median(pd.concat(ratios, axis=1).to_numpy(np.float64).T))
    (images,) = (of_seed.to_numpy(np.float64) for of_seed in ratios.values())
    n = len(images)
    drawn = np.random.default_rng(0).integers(0, n, (BOOTSTRAP_DRAWS, n))
    low, high = np.quantile(np.median(images[drawn], axis=1), [0.025, 0.975])
    basis = f"{n:,} {IMAGES} {OF_ONE_NETWORK}"
    return Estimate(float(np.median(images)), float(low), float(high), None, basis, n)


def randomisation_excess(experiment: Experiment, method: str) -> Estimate | None:
    """Return how much more the baseline's maps are like those of its re-initialised network.

    More than maps of different images are like each other, as a rank correlation.
    """
    name = f"{method}_randomisation_excess"
    return metric(experiment, "baseline", "cam", name, images=f"{name}_images")
