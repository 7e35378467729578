"""The tables of the report: cells for people, and the same figures as plain frames for programs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from squeezed.reporting import paper
from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import Estimate, metric, share
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
    """One figure: its text, the number to sort by, its interval, and the paper's beside it."""

    text: str
    sort: float | str | None = None
    interval: str = ""
    paper: str = ""
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
    paper: Callable[[str, str], float | None] = lambda dataset, variant: None
    """(the paper's data set, variant) to the paper's figure."""
    paper_form: Format | None = None
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


def _table_one(name: str) -> Callable[[str, str], float | None]:
    def look_up(dataset: str, variant: str) -> float | None:
        row = paper.TABLE_ONE.get(dataset, {}).get(variant)
        return None if row is None else float(getattr(row, name))

    return look_up


def _table_two(name: str) -> Callable[[str, str], float | None]:
    def look_up(dataset: str, variant: str) -> float | None:
        row = paper.TABLE_TWO.get(dataset, {}).get(variant)
        return None if row is None else float(getattr(row, name))

    return look_up


TABLE_ONE = (
    Column(
        "top1_accuracy",
        "Accuracy",
        "Share of test images classified correctly",
        percent,
        "evaluation",
        True,
        _table_one("accuracy"),
    ),
    Column(
        "flipped_share",
        "Flipped",
        "Share of test images that are classified otherwise than by the baseline",
        percent,
        "evaluation",
    ),
    Column(
        "model_size_bytes",
        "Model file",
        "The safetensors file, 10⁶ bytes a MB",
        megabytes,
        "evaluation",
        False,
        _table_one("size_mb"),
        lambda value: f"{value:g} MB",
    ),
    Column("onnx_size_bytes", "ONNX file", "What is deployed", megabytes, "evaluation"),
    Column(
        "time_10000_s",
        "10,000 images",
        "ONNX Runtime, the same batch size and threads for all; median of the repeats",
        seconds,
        "inference_timing",
        False,
        _table_one("time_10000_s"),
        lambda value: f"{value:,.6g} s",
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


TABLE_ONE_MORE = (
    Column(
        "model_gzipped_bytes", "Model, gzipped", "The same file after gzip", megabytes, "evaluation"
    ),
    Column(
        "onnx_gzipped_bytes", "ONNX, gzipped", "The same file after gzip", megabytes, "evaluation"
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


ATTACK_TIME = Column(
    "attack_time_per_image_ms",
    "Time an image",
    "In a timing job that runs alone",
    milliseconds,
    "attack_timing",
    False,
    _table_two("time_ms"),
    lambda value: f"{value:,.0f} ms",
)


def attack_columns(attack: str) -> tuple[Column, ...]:
    """Return the columns of Table II for one attack; the paper's figures beside its own attack."""
    ours_alone: Callable[[str, str], float | None] = lambda dataset, variant: None  # noqa: E731

    def printed(name: str) -> Callable[[str, str], float | None]:
        return _table_two(name) if attack == "attack_paper" else ours_alone

    return (
        Column(
            "accuracy_before",
            "Accuracy before",
            "Of the attacked images",
            percent,
            attack,
            True,
            printed("accuracy_before"),
        ),
        Column(
            "accuracy_after",
            "… after",
            "Of the same images after the attack",
            percent,
            attack,
            True,
            printed("accuracy_after"),
        ),
        Column(
            "confidence_before",
            "Confidence before",
            "Mean probability of the predicted class",
            percent,
            attack,
            False,
            printed("confidence_before"),
        ),
        Column(
            "confidence_after",
            "… after",
            "Mean probability of the class predicted for the last iterate",
            percent,
            attack,
            False,
            printed("confidence_after"),
        ),
        Column(
            "success_rate",
            "Fooled",
            "Share of the correctly classified images that the attack turns",
            percent,
            attack,
            False,
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
    key: str, experiment: Experiment, columns: Sequence[Column], *, every_column: bool = False
) -> Table | None:
    """Fill a table; columns without any figure are left out. None if nothing is left.

    Args:
        key: the table's name.
        experiment: whose variants are the rows.
        columns: what to show.
        every_column: keep columns without any figure.
    """
    dataset = paper.dataset_of(experiment.name, experiment.dataset) or ""
    estimates = {
        (variant, column.key): _estimate(experiment, variant, column)
        for variant in experiment.variants
        for column in columns
    }
    known = [c for c in columns if any(estimates[v, c.key] for v in experiment.variants)]
    if not known:
        return None
    shown = list(columns) if every_column else known
    rows, plain_rows = [], []
    for variant in experiment.variants:
        cells: list[Cell] = []
        flat: dict[str, object] = {"experiment": experiment.name, "variant": variant}
        for column in shown:
            estimate = estimates[variant, column.key]
            printed = column.paper(dataset, variant)
            cells.append(_cell(estimate, column, printed))
            flat |= _flat(column.key, estimate, printed)
        rows.append((variant, cells))
        plain_rows.append(flat)
    return Table(key, shown, rows, pd.DataFrame(plain_rows))


def _estimate(experiment: Experiment, variant: str, column: Column) -> Estimate | None:
    if column.is_share:
        return share(experiment, variant, column.analysis, column.key)
    return metric(experiment, variant, column.analysis, column.key, images=column.images)


def _cell(estimate: Estimate | None, column: Column, printed: float | None) -> Cell:
    paper_text = "" if printed is None else (column.paper_form or column.form)(printed)
    if estimate is None:
        return Cell(NONE, None, "", paper_text)
    return Cell(
        with_spread(estimate, column.form),
        estimate.value,
        interval(estimate, column.form),
        paper_text,
        estimate.basis,
    )


def _flat(key: str, estimate: Estimate | None, printed: float | None) -> dict[str, object]:
    fields: dict[str, object] = {key: None if estimate is None else estimate.value}
    if estimate is not None and estimate.low is not None:
        fields |= {f"{key}_low": estimate.low, f"{key}_high": estimate.high}
    if estimate is not None and estimate.spread is not None:
        fields[f"{key}_sd"] = estimate.spread
    if printed is not None:
        fields[f"{key}_paper"] = printed
    return fields
