"""The one table: its colours are differences to the baseline, and its headings say over what."""

from pathlib import Path

import pytest

from squeezed.reporting.collection import collect
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.side_by_side import side_by_side
from squeezed.reporting.tables import Cell, Table
from tests.report.made_up import MadeUp, paper_like, settings_of


def table_of(folder: Path, made_up: MadeUp) -> tuple[Experiment, Table]:
    (experiment,) = collect(made_up.write(folder), None, {"digits": settings_of()})
    table = side_by_side("variants", experiment)
    assert table is not None
    return experiment, table


def cell(table: Table, variant: str, key: str) -> Cell:
    place = [column.key for column in table.columns].index(key)
    return dict(table.rows)[variant][place]


def test_cells_are_coloured_where_the_difference_is_clear_and_only_there(tmp_path: Path) -> None:
    _, table = table_of(tmp_path, paper_like())
    expected = {
        ("ablated", "accuracy"): "worse-2",  # −7.5 points
        ("quantized", "accuracy"): "",  # −0.1 points
        ("quantized", "size"): "better-3",
        ("pruned", "size"): "",  # the same bytes
        ("quantized", "speed"): "better-3",  # 3.1 [3.0, 3.2]
        ("ablated", "speed"): "better-2",  # 1.10 [1.08, 1.12]
        ("linear_quantized", "speed"): "",  # 1.00 [0.99, 1.01]
        ("baseline", "accuracy"): "",
    }
    assert {where: cell(table, *where).shade for where in expected} == expected


def test_a_better_figure_is_green_whatever_its_sign(tmp_path: Path) -> None:
    made_up = paper_like()
    made_up.speedup["pruned"] = (0.8, 0.75, 0.85)
    made_up.size["pruned"] = 20_000_000
    made_up.strong_l2["pruned"] = 1.6
    _, table = table_of(tmp_path, made_up)
    assert cell(table, "pruned", "speed").shade == "worse-2"
    assert cell(table, "pruned", "size").shade == "worse-3"
    assert cell(table, "pruned", "robustness").shade == "better-3"


def test_what_the_gate_does_not_believe_is_said_and_not_coloured(tmp_path: Path) -> None:
    made_up = paper_like()
    made_up.strong_l2["quantized"] = 8.0
    made_up.reliable = {"quantized": False}
    _, table = table_of(tmp_path, made_up)
    found = cell(table, "quantized", "robustness")
    assert (found.shade, found.interval) == ("", "unreliable")


@pytest.mark.parametrize("key", ["accuracy", "flips", "speed", "robustness", "clustering"])
def test_headings_explain_with_unit_and_n_and_cells_give_the_difference(
    tmp_path: Path, key: str
) -> None:
    _, table = table_of(tmp_path, paper_like())
    column = next(column for column in table.columns if column.key == key)
    assert column.unit in ("%", "×") and " n: " in column.title
    assert any(character.isdigit() for character in column.title.partition(" n: ")[2])
    found = cell(table, "ablated", key)
    assert "against the baseline" in found.help
    assert column.unit not in found.text


def test_the_same_figures_are_in_the_frame(tmp_path: Path) -> None:
    _, table = table_of(tmp_path, paper_like())
    frame = table.frame.set_index("variant")
    assert frame.loc["ablated", "accuracy"] == pytest.approx(0.9)
    assert frame.loc["ablated", "accuracy_gain"] == pytest.approx(-0.075)
    assert frame.loc["ablated", "accuracy_gain_low"] < -0.075
