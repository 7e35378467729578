"""Tables with a row for each class or corruption, and a column for each variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from squeezed.reporting.class_changes import ClassChange, class_changes
from squeezed.reporting.estimates import (
    IMAGES,
    OF_ONE_NETWORK,
    Estimate,
    over_seeds,
    with_images,
)
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.tables import Cell, Column, Table
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import NONE, interval, number, percent, points, with_spread
from squeezed.statistics.comparisons import LEVEL

ROWS_AT_MOST = 20
"""Of more rows those are shown where a variant loses most; the figures beside have all."""


@dataclass(frozen=True)
class Change:
    """One variant's change in one row."""

    estimate: Estimate
    p_value: float | None
    is_beyond_chance: bool


@dataclass(frozen=True)
class Row:
    """A class or a corruption: the baseline's share, and each variant's change of it."""

    name: str
    n_images: int
    baseline: float
    changes: Mapping[str, Change]


def classes_table(key: str, experiment: Experiment, class_words: Mapping[str, str]) -> Table | None:
    """Return each class's recall and what variants change of it, or None without results."""
    found = {variant: class_changes(experiment, variant) for variant in experiment.compressed}
    known = {variant: changes for variant, changes in found.items() if changes}
    if not known:
        return None
    by_name = {v: {one.name: one for one in changes} for v, changes in known.items()}
    rows = []
    for first in next(iter(known.values())):
        changes = {
            v: _of_class(some[first.name]) for v, some in by_name.items() if first.name in some
        }
        words = class_words.get(first.name, first.name.replace("_", " "))
        rows.append(Row(words, first.n_images, first.baseline_recall, changes))
    return _table(key, experiment.name, rows, "Class", "classes", "Recall of the baseline")


def corruption_kinds_table(key: str, experiment: Experiment) -> Table | None:
    """Return the baseline's accuracy and each variant's change for each corruption, or None."""
    by_kind: dict[str, dict[str, Change]] = {}
    for variant in experiment.compressed:
        for kind, change in _corruption_changes(experiment, variant).items():
            by_kind.setdefault(kind, {})[variant] = change
    base = _corruptions_by_seed(experiment, "baseline", "accuracy")
    rows = [
        Row(
            kind.replace("_", " "),
            next(iter(changes.values())).estimate.n,
            sum(base[kind].values()) / len(base[kind]),
            changes,
        )
        for kind, changes in by_kind.items()
        if base.get(kind)
    ]
    heading = "Accuracy of the baseline, mean over severities"
    return (
        _table(key, experiment.name, rows, "Corruption", "corruptions", heading) if rows else None
    )


def _of_class(found: ClassChange) -> Change:
    return Change(found.change, found.p_value, found.is_beyond_chance)


def _corruptions_by_seed(
    experiment: Experiment, variant: str, column: str
) -> dict[str, dict[int, float]]:
    values: dict[str, dict[int, float]] = {}
    for seed in experiment.seeds:
        table = experiment.frame(seed, variant, "corruptions.csv")
        if table is not None:
            for kind, value in zip(table["corruption"], table[column], strict=True):
                values.setdefault(kind, {})[seed] = float(value)
    return values


def _corruption_changes(experiment: Experiment, variant: str) -> dict[str, Change]:
    """Return the change for each corruption; over several seeds none is called beyond chance."""
    columns = ("accuracy_change", "accuracy_change_low", "accuracy_change_high", "n_images")
    value, low, high, n = (_corruptions_by_seed(experiment, variant, name) for name in columns)
    p_values = _corruptions_by_seed(experiment, variant, "p_value")
    found = {}
    for kind, of_seeds in value.items():
        by_seed = [
            Estimate(
                of_seeds[seed],
                low[kind][seed],
                high[kind][seed],
                None,
                f"{int(n[kind][seed]):,} {IMAGES} {OF_ONE_NETWORK}",
                int(n[kind][seed]),
            )
            for seed in of_seeds
        ]
        over = over_seeds(of_seeds)
        if len(by_seed) > 1 and over is not None:
            found[kind] = Change(with_images(over, by_seed), None, False)
        else:
            (p_value,) = p_values[kind].values()
            found[kind] = Change(by_seed[0], p_value, p_value < LEVEL)
    return found


def _table(
    key: str, experiment: str, rows: Sequence[Row], heading: str, plural: str, title: str
) -> Table:
    variants = list(dict.fromkeys(variant for row in rows for variant in row.changes))
    columns = [
        Column("n_images", "Images", "Test images", number(0)),
        Column("baseline", "Baseline", title, percent),
        *(Column(v, in_words(v), f"{in_words(v)}: change, in points", points) for v in variants),
    ]
    shown = list(rows)
    notes = [_found_beyond_chance(rows, variant, plural) for variant in variants]
    notes = [note for note in notes if note]
    if len(rows) > ROWS_AT_MOST:
        shown = sorted(rows, key=_largest_loss)[:ROWS_AT_MOST]
        notes.append(
            f"The {ROWS_AT_MOST} of {len(rows)} {plural} in which a variant loses most; all are "
            "in the data below."
        )
    cells = [(row.name, _cells(row, variants)) for row in shown]
    frame = pd.DataFrame([line for row in rows for line in _lines(experiment, row, heading)])
    return Table(key, columns, cells, frame, notes, heading)


def _largest_loss(row: Row) -> float:
    return min(change.estimate.value for change in row.changes.values())


def _cells(row: Row, variants: Sequence[str]) -> list[Cell]:
    cells = [
        Cell(number(0)(row.n_images), row.n_images),
        Cell(percent(row.baseline), row.baseline),
    ]
    for variant in variants:
        change = row.changes.get(variant)
        if change is None:
            cells.append(Cell(NONE))
            continue
        estimate = change.estimate
        beside = "beyond chance" if change.is_beyond_chance else ""
        cells.append(
            Cell(
                with_spread(estimate, points).replace("\u202fpoints", ""),
                estimate.value,
                interval(estimate, points),
                beside,
                estimate.basis,
            )
        )
    return cells


def _lines(experiment: str, row: Row, heading: str) -> list[dict[str, object]]:
    return [
        {
            "experiment": experiment,
            heading.lower(): row.name,
            "variant": variant,
            "n_images": row.n_images,
            "baseline": row.baseline,
            "change": change.estimate.value,
            "change_low": change.estimate.low,
            "change_high": change.estimate.high,
            "p_value": change.p_value,
        }
        for variant, change in row.changes.items()
    ]


def _found_beyond_chance(rows: Sequence[Row], variant: str, plural: str) -> str:
    """Return a sentence on what changed beyond chance for a variant; nothing where nothing did."""
    changes = [(row.name, row.changes[variant]) for row in rows if variant in row.changes]
    beyond = [(name, one.estimate) for name, one in changes if one.is_beyond_chance]
    lost = sorted((e.value, name) for name, e in beyond if e.value < 0)
    gained = [name for name, e in beyond if e.value > 0]
    parts = []
    if lost:
        value, name = lost[0]
        parts.append(
            f"worse beyond chance in {len(lost)} of {len(changes)} {plural}, most of all "
            f"“{name}” ({points(value)})"
        )
    if gained:
        parts.append(f"better beyond chance in {len(gained)} of {len(changes)} {plural}")
    return f"{in_words(variant)}: {listed(parts)}." if parts else ""
