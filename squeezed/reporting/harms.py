"""What accuracy and size do not show: confidence, classes, corrupted and unfamiliar images.

Each measure is a change against the baseline, and each warning speaks of the same estimates as the
tables. A warning is given where the change is beyond its interval and its margin.
"""

from collections.abc import Callable, Mapping

from squeezed.reporting.class_changes import ClassChange, worst_class
from squeezed.reporting.estimates import (
    Estimate,
    metric,
    share_of_images,
    unpaired_difference,
)
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.image_scores import broken, fixed
from squeezed.reporting.lens import Warning
from squeezed.reporting.margins import SCORE_MARGIN, SHARE_MARGIN, exceeds
from squeezed.reporting.measures import negated
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import Format, points, signed, with_interval

NAMED_AT_MOST = 3
"""A sentence names no more variants with their figures; the others are counted."""


def calibration_change(experiment: Experiment, variant: str) -> Estimate | None:
    """Return by how much the expected calibration error grew, as if of independent images."""
    if variant == "baseline":
        return None
    name = "expected_calibration_error"
    ours = metric(experiment, variant, "evaluation", name)
    return unpaired_difference(ours, metric(experiment, "baseline", "evaluation", name))


def worst_class_change(experiment: Experiment, variant: str) -> Estimate | None:
    """Return by how much the recall of the class that loses most changed."""
    worst = worst_class(experiment, variant)
    return worst.change if worst else None


def broken_share(experiment: Experiment, variant: str) -> Estimate | None:
    """Return the share of images that the baseline gets right and the variant wrong."""
    if variant == "baseline":
        return None
    return share_of_images(experiment, variant, "predictions.csv", broken)


def fixed_share(experiment: Experiment, variant: str) -> Estimate | None:
    """Return the share of images that the baseline gets wrong and the variant right."""
    if variant == "baseline":
        return None
    return share_of_images(experiment, variant, "predictions.csv", fixed)


def corruption_change(experiment: Experiment, variant: str) -> Estimate | None:
    """Return by how much the accuracy on corrupted images changed, paired by image."""
    if variant == "baseline":
        return None
    return metric(experiment, variant, "corruptions", "corruption_accuracy_change")


def unfamiliar_change(experiment: Experiment, variant: str) -> Estimate | None:
    """Return by how much the area under the curve of confidence changed, paired by image."""
    return metric(experiment, variant, "unfamiliar", "auroc_confidence_change")


def harm_warnings(
    experiment: Experiment, class_words: Mapping[str, str] | None = None
) -> list[Warning]:
    """Return a sentence for each analysis in which a variant is clearly worse than the baseline.

    Args:
        experiment: whose results; an analysis that was not run gives no sentence.
        class_words: words for classes that the data set only has identifiers of.
    """
    return [
        *_classes(experiment, class_words or {}),
        *_corruptions(experiment),
        *_calibration(experiment),
        *_unfamiliar(experiment),
    ]


def _classes(experiment: Experiment, words: Mapping[str, str]) -> list[Warning]:
    fallen: dict[str, ClassChange] = {}
    for variant in experiment.compressed:
        worst = worst_class(experiment, variant)
        if worst is not None and worst.is_beyond_chance:
            fallen[variant] = worst
    if not fallen:
        return []

    def told(variant: str) -> str:
        worst = fallen[variant]
        name = words.get(worst.name, worst.name.replace("_", " "))
        return f"“{name}” {with_interval(worst.change, points)} ({in_words(variant)})"

    order = sorted(fallen, key=lambda v: fallen[v].change.value)
    corrected = "corrected for all classes (Holm)"
    if any(one.p_value is None for one in fallen.values()):
        corrected = "with an interval for all classes together"
    return [
        Warning(
            "Mean accuracy as everyone's loss.",
            f"Recall of single classes fell beyond chance, {corrected}: {_first(order, told)}.",
        )
    ]


def _corruptions(experiment: Experiment) -> list[Warning]:
    losses = _clearly(experiment, lambda e, v: negated(corruption_change(e, v)), SHARE_MARGIN)
    return _warning(
        "Accuracy on clean images as that in the field.",
        "On corrupted images accuracy changes by",
        {variant: negated(loss) for variant, loss in losses.items()},
        points,
    )


def _calibration(experiment: Experiment) -> list[Warning]:
    losses = _clearly(experiment, calibration_change, SHARE_MARGIN, sure_of=0.0)
    return _warning(
        "Confidences as probabilities.",
        "Calibration, the distance of confidence from accuracy, changes by",
        {variant: negated(loss) for variant, loss in losses.items()},
        points,
    )


def _unfamiliar(experiment: Experiment) -> list[Warning]:
    losses = _clearly(experiment, lambda e, v: negated(unfamiliar_change(e, v)), SCORE_MARGIN)
    return _warning(
        "Confidence as a sign of a familiar image.",
        "It tells unfamiliar images apart less well, area under the curve",
        {variant: negated(loss) for variant, loss in losses.items()},
        signed,
    )


def _warning(
    what: str, begins: str, changes: Mapping[str, Estimate | None], form: Format
) -> list[Warning]:
    """Return the warning with the variants' changes; nothing where none is clearly worse."""
    if not changes:
        return []
    return [Warning(what, f"{begins} {_first(list(changes), _with_figures(changes, form))}.")]


def _clearly(
    experiment: Experiment,
    measure: Callable[[Experiment, str], Estimate | None],
    margin: float,
    sure_of: float | None = None,
) -> dict[str, Estimate]:
    """Return the losses of at least the margin that are surely above it, the largest first.

    Args:
        experiment: whose variants.
        measure: the loss; more is worse.
        margin: what a loss has to reach to be told.
        sure_of: what its interval has to be above; left out: the margin.
    """
    found = {}
    for variant in experiment.compressed:
        loss = measure(experiment, variant)
        surely = exceeds(loss, margin if sure_of is None else sure_of)
        if loss is not None and surely and loss.value >= margin:
            found[variant] = loss
    return dict(sorted(found.items(), key=lambda pair: -pair[1].value))


def _with_figures(figures: Mapping[str, Estimate | None], form: Format) -> Callable[[str], str]:
    return lambda variant: f"{with_interval(figures[variant], form)} ({in_words(variant)})"


def _first(variants: list[str], told: Callable[[str], str]) -> str:
    """List the first few variants with their figures, and count the others."""
    named = [told(variant) for variant in variants[:NAMED_AT_MOST]]
    more = len(variants) - len(named)
    rest = [f"{more} more {'variant' if more == 1 else 'variants'}"] if more else []
    return listed([*named, *rest])
