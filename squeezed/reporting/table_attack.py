"""Table II with the paper's arrangement as rows of its own, and what single settings change."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from squeezed.reporting.collection import Experiment
from squeezed.reporting.measures import PAPER_ATTACK
from squeezed.reporting.tables import (
    ATTACK_TIME,
    Cell,
    Column,
    Table,
    attack_columns,
    make_table,
)
from squeezed.reporting.vocabulary import listed, variant_name
from squeezed.reporting.wording import NONE, Format, grey_levels, percent, plain

PAPER_ARRANGEMENT = "attack_paper_arrangement"
VARIATIONS = "attack_variations"

VARIATION_COLUMNS: tuple[tuple[str, str, Format], ...] = (
    ("accuracy_after", "Accuracy after", percent),
    ("success_rate", "Fooled", percent),
    ("confidence_after", "Confidence after", percent),
    ("confidence_after_best", "… of the nearest", percent),
    ("l2_median", "L2 median", plain),
    ("max_abs_change", "Moved at most", grey_levels),
)


def paper_attack_table(key: str, experiment: Experiment) -> Table | None:
    """Return Table II: the paper's attack, and below it the paper's arrangement where it was run.

    In the paper's arrangement the gradient is what PyTorch's 8-bit layers hand back.
    """
    columns = (*attack_columns(PAPER_ATTACK), ATTACK_TIME)
    table = make_table(key, experiment, columns)
    if table is None:
        return None
    shown = {column.key for column in table.columns}
    others = [
        replace(column, analysis=PAPER_ARRANGEMENT)
        if column.analysis == PAPER_ATTACK
        else replace(column, analysis="")
        for column in columns
        if column.key in shown
    ]
    attacked = [
        variant
        for variant in experiment.variants
        if experiment.values(variant, PAPER_ARRANGEMENT, "n_images")
    ]
    arranged = make_table(key, replace(experiment, variants=attacked), others, every_column=True)
    if not attacked or arranged is None:
        return table
    rows = [(f"{variant_name(v)}, the paper's gradient", cells) for v, cells in arranged.rows]
    frame = arranged.frame.assign(variant=arranged.frame["variant"] + "_paper_arrangement")
    return Table(
        key,
        table.columns,
        [*table.rows, *rows],
        pd.concat([table.frame, frame], ignore_index=True),
        table.notes,
    )


def variations_table(key: str, experiment: Experiment) -> Table | None:
    """Return what single settings of the attack change, of the first variant and seed that has it.

    The rows are variations, not variants.
    """
    for variant in experiment.variants:
        for seed in experiment.seeds:
            frame = experiment.frame(seed, variant, f"{VARIATIONS}.csv")
            if frame is not None:
                rows = [_variation_row(row) for _, row in frame.iterrows()]
                columns = [
                    Column(name, label, label, form) for name, label, form in _columns(frame)
                ]
                frame = frame.assign(variant=variant)
                return Table(key, columns, rows, frame, row_heading="Changed alone")
    return None


def _columns(frame: pd.DataFrame) -> Sequence[tuple[str, str, Format]]:
    return [column for column in VARIATION_COLUMNS if column[0] in frame]


def _variation_row(row: pd.Series) -> tuple[str, list[Cell]]:
    cells = []
    for name, _, form in VARIATION_COLUMNS:
        if name in row.index:
            value = row[name]
            cells.append(Cell(NONE) if pd.isna(value) else Cell(form(float(value)), float(value)))
    return _changes_in_words(row), cells


def _changes_in_words(row: pd.Series) -> str:
    """Name a variation by what it changes: "learning rate 0.0001"; else by its name."""
    changes = json.loads(str(row.get("changes", "{}")))
    words = [
        name.replace("_", " ") if value is True else f"{name.replace('_', ' ')} {value}"
        for name, value in changes.items()
    ]
    return listed(words) or str(row["variation"]).replace("_", " ")
