"""The tables of maps and features: net scores, controls, and what has no score."""

import json
from pathlib import Path

import pytest

from squeezed.paper.verdict import what_it_takes
from squeezed.reporting.collection import collect
from squeezed.reporting.estimates import TOO_FEW_IMAGES
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_cam import randomisation_test
from squeezed.reporting.measures import randomisation_excess
from squeezed.reporting.scores import maps_depend_on_weights
from squeezed.reporting.table_cam import cam_table
from squeezed.reporting.table_embedding import embedding_table
from tests.report.made_up import MadeUp, settings_of

METHOD = "guided_backprop"
ENDS = ("_low", "_high")


def run(folder: Path, made_up: MadeUp, without: dict[str, dict[str, None]]) -> Experiment:
    """Write made-up results in which some variants lack scores, and collect them."""
    made_up.write(folder, parts=("evaluation", "explanations"))
    for place, fields in without.items():
        path = folder / "digits/seed0" / f"{place}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    (experiment,) = collect(folder, None, {"digits": settings_of()})
    return experiment


def test_scores_are_net_of_the_random_map_and_stand_above_controls(tmp_path: Path) -> None:
    table = cam_table("cam", run(tmp_path, MadeUp(), {}), METHOD)
    assert table is not None and not table.notes
    assert {f"{METHOD}_insertion_net", f"{METHOD}_deletion_net", f"{METHOD}_road"} <= set(
        table.frame.columns
    )
    assert not any(name.endswith("_auc") for name in table.frame.columns)
    rows = table.frame.set_index("variant")
    assert rows.loc["Control: random map", f"{METHOD}_road"] == 0
    assert rows.loc["baseline", f"{METHOD}_insertion_net"] == pytest.approx(0.2)


def test_what_has_no_spread_is_said_to_be_not_scored(tmp_path: Path) -> None:
    names = ("insertion_net", "deletion_net", "road", "share_on_object")
    maps = {f"{METHOD}_{name}": None for name in names}
    features = {"knn_accuracy": None, "silhouette": None}
    without = {"pruned/cam": maps, "quantized/embedding": features, "ablated/embedding": features}
    experiment = run(tmp_path, MadeUp(), without)
    table = cam_table("cam", experiment, METHOD)
    assert table is not None
    (note,) = table.notes
    assert note.startswith("Pruned: maps without spread") and note.endswith("not scored.")
    cells = dict(table.rows)["pruned"]
    keys = [column.key for column in table.columns]
    assert {cells[keys.index(name)].text for name in maps} == {"–"}
    table = embedding_table("embedding", experiment)
    assert table is not None
    (note,) = table.notes
    assert note.startswith("Quantized and Ablated: features without spread")


@pytest.mark.parametrize(
    ("correlation", "half", "said"),
    [
        (0.2, 0.02, "passed"),
        (0.6, 0.02, "failed"),
        (0.2, 0.3, "undecided"),
        (0.6, 0.3, "undecided"),
    ],
)
def test_the_randomisation_test_says_when_it_cannot_tell(
    tmp_path: Path, correlation: float, half: float, said: str
) -> None:
    made_up = MadeUp(randomised_correlation=correlation, randomised_half=half)
    text = randomisation_test(run(tmp_path, made_up, {}), METHOD)
    assert text.startswith(f"Randomisation test (Adebayo et al. 2018) {said}:")


@pytest.mark.parametrize("correlation", [0.2, 0.6])
def test_a_single_map_decides_nothing(tmp_path: Path, correlation: float) -> None:
    """A re-initialised network often draws nothing: of twelve maps one may be left."""
    without = {"baseline/cam": {f"{METHOD}_randomisation_excess{end}": None for end in ENDS}}
    made_up = MadeUp(randomised_correlation=correlation)
    experiment = run(tmp_path, made_up, without)
    text = randomisation_test(experiment, METHOD)
    assert text.startswith("Randomisation test (Adebayo et al. 2018) undecided:")
    excess = randomisation_excess(experiment, METHOD)
    assert excess is not None and excess.basis == TOO_FEW_IMAGES and excess.half_width is None
    assert maps_depend_on_weights(experiment, METHOD) is None
    assert what_it_takes(excess, 0.1, "").words == "more test images, or several seeds"
