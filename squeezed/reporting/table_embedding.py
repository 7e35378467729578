"""The scores of features and their maps; controls are rows of their own."""

from squeezed.reporting.columns import EMBEDDING
from squeezed.reporting.control_rows import add_control_rows
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.not_scored import with_not_scored
from squeezed.reporting.tables import Column, Table, make_table


def embedding_table(key: str, experiment: Experiment) -> Table | None:
    """Return the scores of each variant's features and map, and what needs no network for them."""
    table = make_table(key, experiment, EMBEDDING)
    if table is None:
        return None
    table = with_not_scored(table, experiment, "embedding", "knn_accuracy", "features")
    return add_control_rows(
        table,
        experiment,
        {
            "Control: the pixels themselves": lambda column: f"pixels_{column.key}",
            "Control: of other images": _shuffled,
        },
    )


def _shuffled(column: Column) -> str:
    return f"{column.key}_shuffled"
