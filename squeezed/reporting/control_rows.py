"""Rows for controls below the variants: what a score is worth that knows no network."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from squeezed.reporting.estimates import metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.tables import Cell, Column, Table
from squeezed.reporting.wording import interval, with_spread


def add_control_rows(
    table: Table, experiment: Experiment, controls: Mapping[str, Callable[[Column], str]]
) -> Table:
    """Return the table with a row for each control that has any figure.

    Args:
        table: of the variants.
        experiment: whose results; the baseline's hold the controls.
        controls: for each row its name, and a function that names the metric of a column.
    """
    rows = {
        words: [_cell(experiment, column, name_of(column)) for column in table.columns]
        for words, name_of in controls.items()
    }
    known = {
        words: cells for words, cells in rows.items() if any(c.sort is not None for c in cells)
    }
    if not known:
        return table
    extra: list[dict[str, object]] = [
        {"experiment": experiment.name, "variant": words}
        | {column.key: cell.sort for column, cell in zip(table.columns, cells, strict=True)}
        for words, cells in known.items()
    ]
    return replace(
        table,
        rows=[*table.rows, *known.items()],
        frame=pd.concat([table.frame, pd.DataFrame(extra)], ignore_index=True),
    )


def _cell(experiment: Experiment, column: Column, name: str) -> Cell:
    estimate = metric(experiment, "baseline", column.analysis, name)
    if estimate is None:
        return Cell("")
    text = with_spread(estimate, column.form)
    return Cell(text, estimate.value, interval(estimate, column.form))
