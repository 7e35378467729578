"""A continued baseline: found by its recipe, and what is read against it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from squeezed.configuration.completion import load_schema
from squeezed.configuration.plan import ASSUMED, read_configuration
from squeezed.reporting.blocks import blocks_of
from squeezed.reporting.collection import collect
from squeezed.reporting.continued import (
    accuracy_over_continued,
    continued_baseline,
    continued_table,
)
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.measures import accuracy_drop
from squeezed.reporting.summary import answer
from tests import PROJECT
from tests.report.made_up import RECIPES, RECOVERY, VARIANTS, paper_like, settings_of

CONTINUED = {"step": "train", "parent": "baseline", "makes": "network"} | RECOVERY["recovery"]
REFERENCES = sorted(
    path
    for path in (PROJECT / "reports/reference").glob("*.yaml")
    if "experiments" in yaml.safe_load(path.read_text(encoding="utf-8"))  # others are comparisons'
)


def run(folder: Path, recipes: dict[str, dict[str, Any]]) -> Experiment:
    made_up = paper_like()
    made_up.accuracy |= {"continued": 0.985}
    made_up.write(folder, variants=(*VARIANTS, "continued"))
    (experiment,) = collect(folder, None, {"digits": settings_of(variants=recipes)})
    return experiment


def test_it_is_the_child_that_was_trained_as_the_recovery_was(tmp_path: Path) -> None:
    experiment = run(tmp_path, RECIPES | {"continued": CONTINUED})
    found = {v: continued_baseline(experiment, v) for v in experiment.variants}
    assert found == {
        "baseline": None,
        "pruned": "continued",
        "quantized": None,
        "ablated": "continued",
        "pruned_quantized": "continued",
        "linear_quantized": None,
        "continued": None,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"continued": CONTINUED | {"epochs": 4}},
        {"continued": CONTINUED | {"parent": None}},
        {"pruned": RECIPES["pruned"] | {"teacher_weight": 0.5}},
        {"pruned": RECIPES["pruned"] | {"parent": "ablated"}},
    ],
    ids=["longer", "from random weights", "another loss", "two recoveries"],
)
def test_what_is_trained_otherwise_is_no_control(tmp_path: Path, change: dict[str, Any]) -> None:
    experiment = run(tmp_path, RECIPES | {"continued": CONTINUED} | change)
    assert continued_baseline(experiment, "pruned") is None


def test_differences_are_read_against_it(tmp_path: Path) -> None:
    experiment = run(tmp_path, RECIPES | {"continued": CONTINUED})
    change, beside = (
        accuracy_over_continued(experiment, "pruned"),
        accuracy_drop(experiment, "pruned"),
    )
    assert change is not None and beside is not None
    right = {
        variant: pd.read_csv(tmp_path / "digits/seed0" / variant / "predictions.csv")
        .eval("prediction == label")
        .mean()
        for variant in ("pruned", "continued", "baseline")
    }
    assert change.value == pytest.approx(right["pruned"] - right["continued"])
    assert -beside.value == pytest.approx(right["pruned"] - right["baseline"])
    table = continued_table("continued", experiment)
    assert table is not None
    assert [variant for variant, _ in table.rows] == ["pruned", "ablated", "pruned_quantized"]
    assert table.notes == ["Against Continued: Pruned, Ablated and Pruned quantized."]
    assert {"top1_accuracy", "silhouette", "guided_backprop_insertion_net", "l2_ratio"} <= {
        column.key for column in table.columns
    }
    assert "against the same network trained on just as long: Pruned −1" in answer(experiment)[0]


def test_without_it_nothing_is_said(tmp_path: Path) -> None:
    experiment = run(tmp_path, RECIPES)
    assert continued_table("continued", experiment) is None
    assert "just as long" not in answer(experiment)[0]
    assert "continued" in {block.key for block in blocks_of({}, [])}


def completed(*files: Path, **variants: Any) -> dict[str, Any]:
    configuration: dict[str, Any] = {}
    for file in (PROJECT / "config.yaml", *files):
        update_config(configuration, yaml.safe_load(file.read_text(encoding="utf-8")))
    for experiment in configuration["experiments"].values():
        if variants:
            experiment["variants"] = variants
    schema = load_schema(PROJECT / "config.schema.yaml")
    read = read_configuration(configuration, schema, lambda architecture: ASSUMED)
    experiments: dict[str, Any] = read["experiments"]
    return experiments


@pytest.mark.parametrize("files", [(), *((file,) for file in REFERENCES)], ids=str)
def test_what_is_shipped_recovers_with_the_loss_that_it_trains_with(files: tuple[Path]) -> None:
    """Else a gain of confidence would be taken for an effect of compression."""
    for name, experiment in completed(*files).items():
        if experiment["training"]["epochs"] == 0:
            continue  # the weights are others'
        losses = {experiment["training"]["label_smoothing"]}
        losses |= {
            recipe["recovery"]["label_smoothing"]
            for recipe in experiment["variants"].values()
            if "recovery" in recipe
        }
        assert len(losses) == 1, name


def test_a_configured_one_is_found(tmp_path: Path) -> None:
    recovery = {"epochs": 3, "learning_rate": 0.01}
    continued = {"step": "train", "parent": "baseline", "augmentation": {"crop_padding": 0}}
    settings = completed(
        continued=continued | recovery | {"batch_size": 128},
        pruned={"step": "prune", "recovery": recovery},
    )["digits"]
    paper_like().write(tmp_path, variants=(*VARIANTS, "continued"))
    (experiment,) = collect(tmp_path, None, {"digits": settings})
    assert continued_baseline(experiment, "pruned") == "continued"
