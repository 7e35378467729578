"""The continued baseline: what a variant's extra training does by itself, without compression.

A pruned network is trained on, and what it gains may be the training's. Its control is a variant
with `step: train` and the same parent, whose settings are those of the recovery.
"""

import dataclasses
from functools import partial

from squeezed.configuration.recipes import chain_of
from squeezed.reporting.estimates import Estimate, difference, paired_difference
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.image_scores import correct
from squeezed.reporting.measures import distance_ratio
from squeezed.reporting.tables import Column, Table, make_table
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import Format, points, signed, times


def continued_baseline(experiment: Experiment, variant: str) -> str | None:
    """Return the variant that was only trained on as this one was, or None where there is none.

    Looked for where exactly one recipe of the variant's chain trains after compressing, by the
    labels alone (a teacher makes it another loss).
    """
    recipes = experiment.recipes
    if variant not in recipes:
        return None
    trained = [recipe for recipe in chain_of(recipes, variant) if "recovery" in recipe.settings]
    if len(trained) != 1 or trained[0].settings.get("teacher_weight"):
        return None
    (recovered,) = trained
    for other in recipes.values():
        if (
            other.step == "train"
            and other.parent is not None
            and other.parent == recovered.parent
            and other.settings == recovered.settings["recovery"]
            and other.name in experiment.variants
        ):
            return other.name
    return None


def accuracy_over_continued(experiment: Experiment, variant: str) -> Estimate | None:
    """Return variant − continued baseline in top-1 accuracy, paired by image."""
    control = continued_baseline(experiment, variant)
    if not control:
        return None
    return paired_difference(experiment, variant, "predictions.csv", correct, reference=control)


def _over_continued(
    analysis: str, name: str, experiment: Experiment, variant: str
) -> Estimate | None:
    control = continued_baseline(experiment, variant)
    return difference(experiment, variant, analysis, name, control) if control else None


def _distance_over_continued(experiment: Experiment, variant: str) -> Estimate | None:
    control = continued_baseline(experiment, variant)
    return distance_ratio(experiment, variant, control) if control else None


def _column(key: str, label: str, title: str, form: Format, analysis: str) -> Column:
    return Column(key, label, title, form, measure=partial(_over_continued, analysis, key))


COLUMNS = (
    Column(
        "top1_accuracy",
        "Accuracy",
        "Change of the accuracy, paired by image",
        points,
        measure=accuracy_over_continued,
    ),
    _column(
        "expected_calibration_error",
        "Calibration error",
        "Change, as if of other images: the interval is too wide",
        points,
        "evaluation",
    ),
    _column("brier_score", "Brier score", "Change; less is better", signed, "evaluation"),
    _column("knn_accuracy", "Neighbours", "Change, in the features", points, "embedding"),
    _column("silhouette", "Silhouette", "Change", signed, "embedding"),
    _column(
        "guided_backprop_insertion_net",
        "Insertion",
        "Change, net of a random map",
        signed,
        "cam",
    ),
    Column(
        "l2_ratio",
        "L2",
        "How many times longer the same image's change must be, of the strong attack",
        times,
        measure=_distance_over_continued,
    ),
)


def continued_table(key: str, experiment: Experiment) -> Table | None:
    """Return each variant's differences from its continued baseline; None where none has one."""
    controls = {v: continued_baseline(experiment, v) for v in experiment.variants}
    compared = [variant for variant, control in controls.items() if control]
    if not compared:
        return None
    table = make_table(key, experiment, COLUMNS)
    if table is None:
        return None
    notes = []
    for control in dict.fromkeys(filter(None, controls.values())):
        read = listed([in_words(v) for v in compared if controls[v] == control])
        notes.append(f"Against {in_words(control)}: {read}.")
    return dataclasses.replace(
        table,
        rows=[row for row in table.rows if row[0] in compared],
        frame=table.frame[table.frame["variant"].isin(compared)].reset_index(drop=True),
        notes=notes,
    )
