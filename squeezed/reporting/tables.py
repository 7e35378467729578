"""The tables of the report: cells for people, and the same figures as plain frames for programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import Estimate, metric, share
from squeezed.reporting.lens import Lens, Printed
from squeezed.reporting.wording import (
    NONE,
    Format,
    grey_levels,
    interval,
    mebibytes,
    megabytes,
    millions,
    milliseconds,
    number,
    percent,
    plain,
    seconds,
    times,
    with_spread,
)


@dataclass(frozen=True)
class Cell:
    """One figure: its text, the number to sort by, its interval, and what stands beside it."""

    text: str
    sort: float | str | None = None
    interval: str = ""
    beside: str = ""
    """A figure printed elsewhere, with its origin."""
    basis: str = ""


@dataclass(frozen=True)
class Column:
    """A column: what it shows and how to write it."""

    key: str
    label: str
    title: str
    """The column explained in a sentence."""
    form: Format = plain
    analysis: str = ""
    is_share: bool = False
    images: str = "n_images"


@dataclass(frozen=True)
class Table:
    """A table: columns, a row of cells for each variant, and the figures as a frame."""

    key: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    """(variant, a cell for each column)."""
    frame: pd.DataFrame
    notes: Sequence[str] = field(default_factory=tuple)
    row_heading: str = "Variant"
    """What the rows are."""


PERFORMANCE = (
    Column(
        "top1_accuracy",
        "Accuracy",
        "Share of test images classified correctly",
        percent,
        "evaluation",
        True,
    ),
    Column(
        "flipped_share",
        "Flipped",
        "Share of test images that are classified otherwise than by the baseline",
        percent,
        "evaluation",
    ),
    Column(
        "onnx_size_bytes",
        "Deployed file",
        "The ONNX file, 10⁶ bytes a MB",
        megabytes,
        "evaluation",
    ),
    Column(
        "time_10000_s",
        "10,000 images",
        "The same engine, batch size and threads for all; median of the repeats",
        seconds,
        "inference_timing",
    ),
    Column(
        "speedup",
        "Speed-up",
        "Over the baseline, timed in turn with it in the same job",
        times,
        "inference_timing",
    ),
    Column(
        "latency_p50_ms",
        "Latency p50",
        "One image at a time, median",
        milliseconds,
        "inference_timing",
    ),
    Column(
        "latency_p95_ms",
        "Latency p95",
        "One image at a time, 95th percentile",
        milliseconds,
        "inference_timing",
    ),
)


STORAGE = (
    Column(
        "onnx_gzipped_bytes", "Gzipped", "The deployed file after gzip", megabytes, "evaluation"
    ),
    Column(
        "nonzero_parameters",
        "Nonzero weights",
        "Parameters that are not exactly zero",
        millions,
        "evaluation",
    ),
    Column(
        "remaining_multiply_accumulates",
        "Useful MACs",
        "Multiply–accumulates for one image, without those by a zero weight",
        millions,
        "evaluation",
    ),
    Column("peak_memory_mib", "Peak memory", "Of the process that infers", mebibytes, "evaluation"),
)


def attack_columns(attack: str) -> tuple[Column, ...]:
    """Return the columns of an attack's table."""
    return (
        Column(
            "accuracy_before", "Accuracy before", "Of the attacked images", percent, attack, True
        ),
        Column(
            "accuracy_after",
            "… after",
            "Of the same images after the attack",
            percent,
            attack,
            True,
        ),
        Column(
            "confidence_before",
            "Confidence before",
            "Mean probability of the predicted class",
            percent,
            attack,
        ),
        Column(
            "confidence_after",
            "… after",
            "Mean probability of the class predicted for the last iterate",
            percent,
            attack,
        ),
        Column(
            "success_rate",
            "Fooled",
            "Share of the correctly classified images that the attack turns",
            percent,
            attack,
            images="n_attackable",
        ),
        Column("l2_mean", "L2 mean", "Euclidean length of the successful changes", plain, attack),
        Column(
            "l2_median", "L2 median", "Of the successful changes, pixels in [0, 1]", plain, attack
        ),
        Column("linf_median", "L∞ median", "Largest change of a pixel", grey_levels, attack),
        Column(
            "max_abs_change",
            "Moved at most",
            "Largest change of any pixel of any last iterate, in grey levels of 255",
            grey_levels,
            attack,
        ),
    )


ATTACK_TIME = Column(
    "attack_time_per_image_ms",
    "Time an image",
    "In a timing job that runs alone",
    milliseconds,
    "attack_timing",
)

EMBEDDING = (
    Column(
        "knn_accuracy",
        "Neighbours",
        "k-nearest-neighbour accuracy in the features",
        percent,
        "embedding",
    ),
    Column(
        "silhouette", "Silhouette", "Between −1 and 1; more is more distinct", plain, "embedding"
    ),
    Column(
        "linear_probe_accuracy",
        "Linear probe",
        "Accuracy of a linear classifier",
        percent,
        "embedding",
    ),
    Column(
        "linear_cka",
        "CKA",
        "Likeness to the baseline's features, 1 is the same",
        plain,
        "embedding",
    ),
    Column(
        "trustworthiness",
        "Trustworthiness",
        "How far neighbours in the map are neighbours in the features",
        plain,
        "tsne",
    ),
    Column(
        "map_knn_accuracy", "Neighbours in the map", "k-nearest-neighbour accuracy", percent, "tsne"
    ),
)

TRAINING = (
    Column("amount", "Amount", "Share of what was pruned that is gone", percent, "training"),
    Column("epochs", "Epochs", "Trained or retrained", number(0), "training"),
    Column("best_epoch", "Best epoch", "Chosen on validation images", number(0), "training"),
    Column(
        "validation_accuracy",
        "Validation accuracy",
        "Of images held out of the training images",
        percent,
        "training",
    ),
)


def make_table(
    key: str, experiment: Experiment, columns: Sequence[Column], lenses: Sequence[Lens] = ()
) -> Table | None:
    """Fill a table; columns without any figure are left out. None if nothing is left.

    Args:
        key: the table's name.
        experiment: whose variants are the rows.
        columns: what to show.
        lenses: what prints figures beside ours.
    """
    estimates = {
        (variant, column.key): _estimate(experiment, variant, column)
        for variant in experiment.variants
        for column in columns
    }
    shown = [c for c in columns if any(estimates[v, c.key] for v in experiment.variants)]
    if not shown:
        return None
    rows, plain_rows = [], []
    for variant in experiment.variants:
        cells: list[Cell] = []
        flat: dict[str, object] = {"experiment": experiment.name, "variant": variant}
        for column in shown:
            estimate = estimates[variant, column.key]
            printed = [
                (lens.name, found)
                for lens in lenses
                if (found := lens.printed(experiment, column.analysis, column.key, variant))
            ]
            cells.append(_cell(estimate, column, printed))
            flat |= _flat(column.key, estimate)
            flat |= {f"{column.key}_{name}": found.value for name, found in printed}
        rows.append((variant, cells))
        plain_rows.append(flat)
    return Table(key, shown, rows, pd.DataFrame(plain_rows))


def _estimate(experiment: Experiment, variant: str, column: Column) -> Estimate | None:
    if column.is_share:
        return share(experiment, variant, column.analysis, column.key)
    return metric(experiment, variant, column.analysis, column.key, images=column.images)


def _cell(
    estimate: Estimate | None, column: Column, printed: Sequence[tuple[str, Printed]]
) -> Cell:
    beside = ", ".join(f"{name} {found.text}" for name, found in printed)
    if estimate is None:
        return Cell(NONE, beside=beside)
    return Cell(
        with_spread(estimate, column.form),
        estimate.value,
        interval(estimate, column.form),
        beside,
        estimate.basis,
    )


def _flat(key: str, estimate: Estimate | None) -> dict[str, object]:
    fields: dict[str, object] = {key: None if estimate is None else estimate.value}
    if estimate is not None and estimate.low is not None:
        fields |= {f"{key}_low": estimate.low, f"{key}_high": estimate.high}
    if estimate is not None and estimate.spread is not None:
        fields[f"{key}_sd"] = estimate.spread
    return fields
