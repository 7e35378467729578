"""What compression changes for each class: over the images of one network, or over seeds, too."""

from dataclasses import dataclass

import pandas as pd

from squeezed.reporting.estimates import IMAGES, OF_ONE_NETWORK, Estimate, crossed_estimate
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.image_scores import by_image, correct
from squeezed.statistics.comparisons import LEVEL
from squeezed.statistics.crossed import crossed_share_difference

CLASSES, PREDICTIONS = "classes.csv", "predictions.csv"


@dataclass(frozen=True)
class ClassChange:
    """The change of one class's recall, variant − baseline, on the same test images."""

    name: str
    n_images: int
    baseline_recall: float
    change: Estimate
    """Its interval holds for all classes together (Bonferroni's)."""
    p_value: float | None
    """McNemar's, corrected for all classes (Holm's); None over several seeds."""

    @property
    def is_beyond_chance(self) -> bool:
        """Whether chance is no explanation, with all classes looked at.

        Over several seeds: whether the interval for all classes together leaves out zero.
        """
        if self.p_value is not None:
            return self.p_value < LEVEL
        low, high = self.change.ends
        return low > 0 or high < 0


def class_changes(experiment: Experiment, variant: str) -> list[ClassChange]:
    """Return the change of each class that has test images; nothing without results."""
    tables = {
        seed: table
        for seed in experiment.seeds
        if (table := experiment.frame(seed, variant, CLASSES)) is not None
    }
    if variant == "baseline" or not tables:
        return []
    first = next(iter(tables.values()))
    if len(tables) == 1:
        return [_of_one_network(row) for _, row in first.iterrows()]
    return _over_seeds(experiment, variant, list(tables), list(first["class"]))


def worst_class(experiment: Experiment, variant: str) -> ClassChange | None:
    """Return the class whose recall falls most; None where none falls."""
    fallen = [one for one in class_changes(experiment, variant) if one.change.value < 0]
    return min(fallen, key=lambda one: one.change.value, default=None)


def _of_one_network(row: pd.Series) -> ClassChange:
    n = int(row["n_images"])
    change = Estimate(
        row["recall_change"],
        row["recall_change_low"],
        row["recall_change_high"],
        None,
        f"{n:,} {IMAGES} {OF_ONE_NETWORK}",
        n,
    )
    return ClassChange(str(row["class"]), n, row["baseline_correct"] / n, change, row["p_value"])


def _over_seeds(
    experiment: Experiment, variant: str, seeds: list[int], names: list[str]
) -> list[ClassChange]:
    """Compare image by image and seed by seed; `names` are those of the classes with images."""
    changes, baseline = {}, {}
    labels: pd.Series | None = None
    for seed in seeds:
        own = experiment.frame(seed, variant, PREDICTIONS)
        other = experiment.frame(seed, "baseline", PREDICTIONS)
        right, was_right = by_image(own, correct), by_image(other, correct)
        if own is None or right is None or was_right is None:
            continue
        labels = pd.Series(own["label"].to_numpy(), index=own["index"].to_numpy())
        changes[seed], baseline[seed] = right - was_right, was_right
    if labels is None or len(changes) < 2:
        return []
    changed, before = pd.concat(changes, axis=1), pd.concat(baseline, axis=1)
    found = []
    for label, name in zip(sorted(labels.unique()), names, strict=True):
        images = labels.index[labels == label]
        estimate = crossed_share_difference(
            changed.loc[images].to_numpy().T, 1 - LEVEL / len(names)
        )
        recall = float(before.loc[images].to_numpy().mean())
        found.append(ClassChange(name, len(images), recall, crossed_estimate(estimate), None))
    return found
