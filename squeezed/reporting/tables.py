"""The tables of the report: cells for people, and the same figures as plain frames for programs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from squeezed.reporting.estimates import Estimate, metric, share
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.lens import Lens, Printed
from squeezed.reporting.wording import (
    NONE,
    Format,
    interval,
    plain,
    with_spread,
)

BASES_AT_MOST = 3
"""A caption tells no more kinds of intervals apart; each figure says its own when pointed at."""


@dataclass(frozen=True)
class Cell:
    """One figure: its text, the number to sort by, its interval, and what stands beside it."""

    text: str
    sort: float | str | None = None
    interval: str = ""
    beside: str = ""
    """A figure printed elsewhere, with its origin."""
    basis: str = ""
    shade: str = ""
    """How the page colours it: `better-1` … `worse-3`."""
    help: str = ""
    """What is said when it is pointed at; left out: what the interval is over."""


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
    measure: Callable[[Experiment, str], Estimate | None] | None = None
    """What computes it for an experiment's variant, where no result has it under its key."""
    unit: str = ""
    """In the heading, where the cells go without it."""


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
    is_matrix: bool = False
    """Whether its cells are small, and shaded by their figure alone."""


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


def intervals_in_words(table: Table) -> str:
    """Return a sentence on what the intervals of a table are over; nothing where they say it."""
    bases = list(
        dict.fromkeys(c.basis for _, cells in table.rows for c in cells if c.interval and c.basis)
    )
    if not bases or len(bases) > BASES_AT_MOST:
        return ""
    return f"Brackets are 95 % intervals over {', or over '.join(bases)}."


def _estimate(experiment: Experiment, variant: str, column: Column) -> Estimate | None:
    if column.measure is not None:
        return column.measure(experiment, variant)
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
