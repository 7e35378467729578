"""What each attack does, and what its single settings change."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from squeezed.reporting.columns import ATTACK_TIME, attack_columns
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.lens import Lens
from squeezed.reporting.tables import (
    Cell,
    Column,
    Table,
    make_table,
)
from squeezed.reporting.vocabulary import listed
from squeezed.reporting.wording import NONE, Format, grey_levels, percent, plain

VARIATIONS = "attack_variations"

VARIATION_COLUMNS: tuple[tuple[str, str, Format], ...] = (
    ("accuracy_after", "Accuracy after", percent),
    ("success_rate", "Fooled", percent),
    ("confidence_after", "Confidence after", percent),
    ("confidence_after_best", "… of the nearest", percent),
    ("l2_median", "L2 median", plain),
    ("max_abs_change", "Moved at most", grey_levels),
)


def attack_table(
    key: str, experiment: Experiment, attack: str, lenses: Sequence[Lens]
) -> Table | None:
    """Return what one attack does to each variant that it was run on, with its times if timed."""
    analysis = f"attack_{attack}"
    attacked = [v for v in experiment.variants if experiment.values(v, analysis, "n_images")]
    timed = experiment.settings.get("attack_timing", {}).get("attack", attack) == attack
    columns = (*attack_columns(analysis), *([ATTACK_TIME] if timed else []))
    return make_table(key, replace(experiment, variants=attacked), columns, lenses)


def variations_table(key: str, experiment: Experiment) -> Table | None:
    """Return what single settings of the attack change, of the first variant and seed that has it.

    The rows are variations, not variants.
    """
    for variant in experiment.variants:
        for seed in experiment.seeds:
            frame = experiment.frame(seed, variant, f"{VARIATIONS}.csv")
            if frame is not None:
                shown = [column for column in VARIATION_COLUMNS if column[0] in frame]
                return Table(
                    key,
                    [Column(name, label, label, form) for name, label, form in shown],
                    [_variation_row(row, shown) for _, row in frame.iterrows()],
                    frame.assign(variant=variant),
                    row_heading="Changed alone",
                )
    return None


def _variation_row(
    row: pd.Series, shown: Sequence[tuple[str, str, Format]]
) -> tuple[str, list[Cell]]:
    cells = [
        Cell(NONE) if pd.isna(row[name]) else Cell(form(float(row[name])), float(row[name]))
        for name, _, form in shown
    ]
    return _changes_in_words(row), cells


def _changes_in_words(row: pd.Series) -> str:
    """Name a variation by what it changes: "learning rate 0.0001"; else by its name."""
    changes = json.loads(str(row.get("changes", "{}")))
    words = [
        name.replace("_", " ") if value is True else f"{name.replace('_', ' ')} {value}"
        for name, value in changes.items()
    ]
    return listed(words) or str(row["variation"]).replace("_", " ")
