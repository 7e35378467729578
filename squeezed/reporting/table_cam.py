"""The scores of activation maps, a table for each method; the controls are rows of their own."""

from collections.abc import Sequence

import pandas as pd

from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import metric
from squeezed.reporting.tables import Cell, Column, Table, make_table
from squeezed.reporting.wording import Format, interval, percent, plain, with_spread

METHOD_NAMES = {"guided_backprop": "guided backpropagation", "grad_cam": "Grad-CAM"}
CONTROL_NAMES = {
    "random": "Control: random map",
    "centre": "Control: spot in the centre",
    "edge": "Control: edge detector",
}
SCORES = (
    ("share_on_object", "On the object", "Share of the map's weight that lies on the object"),
    ("insertion_auc", "Insertion", "Area under the curve; more is better"),
    ("deletion_auc", "Deletion", "Area under the curve; less is better"),
)
AGREEMENT = (
    ("rank_correlation", "Like the baseline's", "Rank correlation with the baseline's map"),
    (
        "randomised_rank_correlation",
        "After re-initialising",
        "Rank correlation with the map of the same network with every layer re-initialised; a map "
        "that shows what was learned falls to that of different images",
    ),
    (
        "unrelated_rank_correlation",
        "Of different images",
        "Rank correlation between maps of two different images: what all maps have in common",
    ),
)


def cam_table(key: str, experiment: Experiment, method: str) -> Table | None:
    """Return the scores of one method's maps, and of the controls for the baseline's network."""
    columns = [
        Column(f"{method}_{score}", label, title, _form(score), "cam")
        for score, label, title in (*SCORES, *AGREEMENT)
    ]
    table = make_table(key, experiment, columns)
    if table is None:
        return None
    controls = {
        words: _control_cells(experiment, table.columns, method, control)
        for control, words in CONTROL_NAMES.items()
    }
    known = {words: cells for words, cells in controls.items() if any(cell.sort for cell in cells)}
    extra: list[dict[str, object]] = [
        {"experiment": experiment.name, "variant": words}
        | {column.key: cell.sort for column, cell in zip(table.columns, cells, strict=True)}
        for words, cells in known.items()
    ]
    return Table(
        key,
        table.columns,
        [*table.rows, *known.items()],
        pd.concat([table.frame, pd.DataFrame(extra)], ignore_index=True) if extra else table.frame,
    )


def _form(score: str) -> Format:
    return percent if score == "share_on_object" else plain


def _control_cells(
    experiment: Experiment, columns: Sequence[Column], method: str, control: str
) -> list[Cell]:
    cells = []
    for column in columns:
        name = column.key.replace(method, control, 1)
        estimate = metric(experiment, "baseline", "cam", name)
        if estimate is None:
            cells.append(Cell(""))
        else:
            text = with_spread(estimate, column.form)
            cells.append(Cell(text, estimate.value, interval(estimate, column.form)))
    return cells
