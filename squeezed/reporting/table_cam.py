"""The scores of activation maps, a table for each method; the controls are rows of their own."""

from functools import partial

from squeezed.reporting.control_rows import add_control_rows
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.not_scored import with_not_scored
from squeezed.reporting.tables import Column, Table, make_table
from squeezed.reporting.wording import Format, percent, plain

CONTROL_NAMES = {
    "random": "Control: random map",
    "centre": "Control: spot in the centre",
    "edge": "Control: edge detector",
}
SCORES = (
    ("share_on_object", "On the object", "Share of the map's weight that lies on the object"),
    (
        "insertion_net",
        "Insertion",
        "Area under the curve, above that of a random map on the same network; more is better",
    ),
    (
        "deletion_net",
        "Deletion",
        "Area under the curve, below that of a random map on the same network; more is better",
    ),
    (
        "road",
        "ROAD",
        "Class still predicted without the least relevant pixels − without the most relevant ones; "
        "between −1 and 1, more is better",
    ),
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
    table = with_not_scored(table, experiment, "cam", f"{method}_road", "maps")
    return add_control_rows(
        table,
        experiment,
        {
            words: partial(_name_of_control, method, control)
            for control, words in CONTROL_NAMES.items()
        },
    )


def _name_of_control(method: str, control: str, column: Column) -> str:
    if column.key == f"{method}_rank_correlation":
        return f"{column.key}_{control}"
    return column.key.replace(method, control, 1)


def _form(score: str) -> Format:
    return percent if score == "share_on_object" else plain
