"""What accuracy does not show is in the report: where it was measured, and nothing where not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from squeezed.configuration.recipes import Recipe
from squeezed.data import open_dataset
from squeezed.foundation.errors import UserError
from squeezed.foundation.results import write_result
from squeezed.paper.lens import LENS
from squeezed.reporting.blocks import blocks_of
from squeezed.reporting.class_changes import class_changes, worst_class
from squeezed.reporting.collection import collect, missing_in_words, parse_expectations
from squeezed.reporting.colours import colours_of
from squeezed.reporting.document import Document, compose
from squeezed.reporting.estimates import metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.exports import metrics_tree
from squeezed.reporting.figure_exemplars import draw_exemplars, exemplars_of
from squeezed.reporting.figure_reliability import draw_reliability, reliability_points
from squeezed.reporting.files import write_report
from squeezed.reporting.harms import calibration_change, harm_warnings
from squeezed.reporting.summary import do_not_believe
from squeezed.reporting.table_by_row import ROWS_AT_MOST, classes_table, corruption_kinds_table
from squeezed.reporting.vocabulary import describe
from tests.report.browser import Browser
from tests.report.conftest import TEMPLATES
from tests.report.made_up import VARIANTS, MadeUp, paper_like, settings_of
from tests.report.made_up_harms import LOST_CLASS, write_harms
from tests.report.made_up_pictures import write_pictures

HARMS = {"changes", "calibration", "classes", "corruptions", "corruption_kinds", "unfamiliar"}
HARMED = "quantized"


def run(
    folder: Path, seeds: tuple[int, ...] = (0,), harmed: str = "", *, with_harms: bool = True
) -> Experiment:
    """Write made-up results and collect them."""
    paper_like().write(folder, seeds=seeds)
    if with_harms:
        write_harms(folder, seeds=seeds, harmed=harmed)
    (experiment,) = collect(folder, None, {"digits": settings_of()})
    return experiment


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """Return the document of one seed with one harmed variant."""
    folder = tmp_path_factory.mktemp("harms")
    return compose([run(folder / "results", (0,), HARMED)], {"digits": settings_of()}, folder)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Document, Path]:
    """Return the document of three seeds with one harmed variant, and its report's folder."""
    folder = tmp_path_factory.mktemp("harms")
    experiment = run(folder / "results", (0, 1, 2), HARMED)
    document = compose([experiment], {"digits": settings_of()}, folder)
    write_report(document, TEMPLATES, folder / "out")
    return document, folder / "out"


def keys(document: Document) -> set[str]:
    return {filled.block.key for filled in document.sections[0].blocks}


def test_nothing_is_shown_of_an_analysis_that_was_not_run(tmp_path: Path) -> None:
    experiment = run(tmp_path / "results", with_harms=False)
    document = compose([experiment], {}, tmp_path)
    assert keys(document).isdisjoint(HARMS | {"seeds", "reliability"})
    assert harm_warnings(experiment) == []
    write_report(document, TEMPLATES, tmp_path / "out")
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        for block in blocks_of({}, []):
            if block.key in HARMS | {"seeds", "reliability"}:
                assert block.title not in text, name
    branch = metrics_tree([experiment])["digits"]["pruned"]
    assert "corruptions" not in branch and "unfamiliar" not in branch


@pytest.mark.parametrize("analysis", ["corruptions", "unfamiliar"])
def test_each_analysis_is_shown_alone(tmp_path: Path, analysis: str) -> None:
    run(tmp_path)
    other = "unfamiliar" if analysis == "corruptions" else "corruptions"
    for path in tmp_path.rglob(f"{other}.*"):
        path.unlink()
    (experiment,) = collect(tmp_path, None, {"digits": settings_of()})
    shown = keys(compose([experiment], {}, tmp_path))
    assert analysis in shown and other not in shown and "changes" in shown


def test_one_seed_shows_all_but_the_churn(single: Document) -> None:
    assert keys(single) >= HARMS | {"reliability"} and "seeds" not in keys(single)


def test_several_seeds_show_the_churn_and_the_exemplars(several: tuple[Document, Path]) -> None:
    blocks = {filled.block.key: filled for filled in several[0].sections[0].blocks}
    table = blocks["seeds"].table
    assert table is not None and set(blocks) >= HARMS
    compared = several[0].sections[0].experiment.seed_comparison
    shown = table.frame.set_index("variant")
    assert shown.loc["baseline", "seed_churn"] == compared["seed_churn"] > 0
    assert np.isnan(shown.loc["baseline", "exemplars"])
    for field, value in compared["variants"][HARMED].items():
        if not field.endswith(("_low", "_high")):
            assert shown.loc[HARMED, field] == pytest.approx(value), field
    assert "3 seeds and 1,000 images" in blocks["seeds"].caption


def test_exemplars_are_drawn_the_surest_first(tmp_path: Path) -> None:
    results = tmp_path / "results"
    experiment = run(results, (0, 1), HARMED)
    write_pictures(results / "digits/seed0", tmp_path / "data/digits.safetensors", VARIANTS)
    found = exemplars_of(experiment)
    sure = found[["baseline_agreement", "agreement"]].min(axis=1)
    assert sure.is_monotonic_decreasing and HARMED in set(found["variant"])
    # The made-up data set has only the first of the images.
    data = open_dataset(tmp_path / "data/digits.safetensors")
    few = found[found["index"] < len(data.test)].drop(columns="experiment")
    few.to_csv(experiment.folder / "exemplars.csv", index=False)
    drawing = draw_exemplars(experiment, data, data.class_names)
    assert drawing is not None and "Quantized" in drawing and "true: class 3" in drawing
    assert draw_exemplars(experiment, None, data.class_names) is None, "no images, no figure"
    (experiment.folder / "exemplars.csv").unlink()
    assert draw_exemplars(experiment, data, data.class_names) is None


@pytest.mark.parametrize(("kind", "is_easy"), [("photographs", True), ("svhn", False)])
def test_photographs_alone_are_called_easy(tmp_path: Path, kind: str, is_easy: bool) -> None:
    metrics = {"unfamiliar_dataset": "photographs", "unfamiliar_source_kind": kind}
    results = MadeUp().write(tmp_path, variants=("baseline",), parts=("evaluation",))
    write_result(
        results / "digits/seed0/baseline/unfamiliar.json",
        metrics | {"n_unfamiliar_images": 200, "auroc_confidence": 0.9},
        provenance={},
    )
    (experiment,) = collect(results)
    blocks = compose([experiment], {}, tmp_path, []).sections[0].blocks
    (caption,) = (filled.caption for filled in blocks if filled.block.key == "unfamiliar")
    assert "Here: 200 images of “photographs”" in caption
    assert ("easy" in caption) == is_easy


def test_captions_say_what_intervals_are_over(
    single: Document, several: tuple[Document, Path]
) -> None:
    captions = {filled.block.key: filled.caption for filled in single.sections[0].blocks}
    for key in ("performance", "calibration", "corruptions", "unfamiliar"):
        assert "over 1,000 images of one network" in captions[key], key
    assert (
        "1,000 images of “parts”, parts of two photographs: an easy set."
        in (captions["unfamiliar"])
    )
    assert "2 corruptions with the parameters of CIFAR-10-C" in captions["corruptions"]
    captions = {filled.block.key: filled.caption for filled in several[0].sections[0].blocks}
    for key in ("calibration", "corruptions", "unfamiliar"):
        assert "over 3 seeds and 1,000 images" in captions[key], key


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_sentence_is_given_where_a_variant_is_clearly_worse(
    tmp_path: Path, seeds: tuple[int, ...]
) -> None:
    experiment = run(tmp_path / "harmed", seeds, HARMED)
    warnings = harm_warnings(experiment)
    assert len(warnings) == 4, "classes, corruptions, calibration, unfamiliar images"
    assert all("(Quantized)" in warning.why for warning in warnings)
    of_class = warnings[0].why
    assert f"“{LOST_CLASS}”" in of_class
    assert ("(Holm)" in of_class) == (len(seeds) == 1), "p-values are one network's"
    assert "“three”" in harm_warnings(experiment, {LOST_CLASS: "three"})[0].why
    told = do_not_believe(experiment, [LENS])
    (first, *_) = LENS.warnings(experiment)
    assert told[0] == first
    assert [warning.what for warning in told[1:5]] == [warning.what for warning in warnings]


def test_no_sentence_without_a_clear_difference(tmp_path: Path) -> None:
    made_up = replace(paper_like(), accuracy={"baseline": 0.975})
    write_harms(made_up.write(tmp_path))
    (experiment,) = collect(tmp_path, None, {"digits": settings_of()})
    assert harm_warnings(experiment) == []


def test_sentences_speak_of_the_figures_in_the_tables(single: Document) -> None:
    (section,) = single.sections
    (changes,) = [f.table for f in section.blocks if f.block.key == "changes"]
    assert changes is not None
    cells = dict(changes.rows)[HARMED]
    warnings = " ".join(warning.why for warning in section.warnings)
    by_key = dict(zip([column.key for column in changes.columns], cells, strict=True))
    for key in ("worst_class_recall_change", "corruption_accuracy_change"):
        assert f"{by_key[key].text} {by_key[key].interval}" in warnings


def test_classes_of_one_network_are_those_of_its_evaluation(single: Document) -> None:
    experiment = single.sections[0].experiment
    record = experiment.record(0, HARMED, "evaluation")
    worst = worst_class(experiment, HARMED)
    assert record is not None and worst is not None
    assert worst.name == record["worst_class"] == LOST_CLASS
    assert worst.change.value == pytest.approx(record["worst_class_recall_change"], abs=1e-5)
    assert worst.change.low == pytest.approx(record["worst_class_recall_change_low"], abs=1e-5)
    assert worst.p_value == pytest.approx(record["worst_class_p_value"], rel=1e-4)
    table = classes_table("classes", experiment, {LOST_CLASS: "three"})
    assert table is not None and table.row_heading == "Class"
    assert [name for name, _ in table.rows] == [*"012", "three", *"456789"]
    column = [c.key for c in table.columns].index(HARMED)
    assert dict(table.rows)["three"][column].beside == "beyond chance"
    assert any(note.startswith("Quantized: worse beyond chance in 1 of 10") for note in table.notes)
    assert class_changes(experiment, "baseline") == []


def test_classes_over_seeds_are_the_mean_of_those_of_each(several: tuple[Document, Path]) -> None:
    experiment = several[0].sections[0].experiment
    frames = [experiment.frame(seed, HARMED, "classes.csv") for seed in (0, 1, 2)]
    expected = pd.concat([f for f in frames if f is not None]).groupby("class")["recall_change"]
    found = {one.name: one for one in class_changes(experiment, HARMED)}
    for name, value in expected.mean().items():
        assert found[str(name)].change.value == pytest.approx(value, abs=1e-5)
        assert found[str(name)].change.basis == "3 seeds and 100 images"
    assert [name for name, one in found.items() if one.is_beyond_chance] == [LOST_CLASS]


def test_of_many_classes_those_are_shown_that_lose_most(tmp_path: Path) -> None:
    experiment = run(tmp_path)
    for variant in experiment.compressed:
        path = experiment.path(0, variant, "classes.csv")
        (row, *_) = pd.read_csv(path).to_dict("records")
        rows = [row | {"class": f"class_{i}", "recall_change": -i / 100} for i in range(40)]
        pd.DataFrame(rows).to_csv(path, index=False)
    table = classes_table("classes", experiment, {})
    assert table is not None and len(table.rows) == ROWS_AT_MOST
    assert table.rows[0][0] == "class 39"
    assert "20 of 40 classes" in table.notes[-1]
    assert table.frame["class"].nunique() == 40


def test_corruptions_of_several_seeds_keep_the_images_uncertainty(
    single: Document, several: tuple[Document, Path]
) -> None:
    one = corruption_kinds_table("corruption_kinds", single.sections[0].experiment)
    experiment = several[0].sections[0].experiment
    three = corruption_kinds_table("corruption_kinds", experiment)
    assert one is not None and three is not None
    of_one, of_three = (
        table.frame[(table.frame["variant"] == HARMED) & (table.frame["corruption"] == "frost")]
        for table in (one, three)
    )
    widths = [float((f["change_high"] - f["change_low"]).iloc[0]) for f in (of_one, of_three)]
    assert widths[1] >= widths[0] > 0
    assert of_three["p_value"].isna().all()
    assert float(of_one["p_value"].iloc[0]) < 0.05


def test_the_reliability_diagram_weighs_seeds_by_their_images(
    several: tuple[Document, Path],
) -> None:
    experiment = several[0].sections[0].experiment
    bins = reliability_points(experiment)
    plain = bins[bins["scaled"] == 0]
    for variant, own in plain.groupby("variant"):
        accuracy = metric(experiment, str(variant), "evaluation", "top1_accuracy")
        weighed = (own["accuracy"] * own["n_images"]).sum() / own["n_images"].sum()
        if variant != HARMED:  # whose predictions were changed after its accuracy was written
            assert accuracy is not None and weighed == pytest.approx(accuracy.value, abs=1e-4)
        assert own["n_images"].sum() == 3000
    drawing = draw_reliability(experiment)
    assert drawing is not None and "Pruned quantized" in drawing
    assert (several[1] / "figures/digits/reliability.svg").stat().st_size > 2000


def test_a_calibration_error_that_grew_is_judged_by_its_interval(single: Document) -> None:
    experiment = single.sections[0].experiment
    grown = calibration_change(experiment, HARMED)
    assert grown is not None and grown.low is not None and grown.low > 0
    same = calibration_change(experiment, "pruned")
    assert same is not None and same.ends[0] < 0 < same.ends[1]
    assert calibration_change(experiment, "baseline") is None


def test_dvc_gets_a_figure_of_each_and_the_verdict(tmp_path: Path) -> None:
    made_up = replace(paper_like(), reliable={"pruned": False})
    write_harms(made_up.write(tmp_path))
    (experiment,) = collect(tmp_path, None, {"digits": settings_of()})
    tree = metrics_tree([experiment])["digits"]
    assert tree["pruned"]["diagnostics"] == {"reliable": False}
    assert tree["pruned"]["attack_strong"]["reliable"] is False
    assert not tree["pruned"]["report"]["recommended"]
    assert tree["quantized"]["diagnostics"] == {"reliable": True}
    assert 0 < tree["pruned"]["evaluation"]["expected_calibration_error"] < 1
    assert tree["baseline"]["corruptions"] == {"mean_corruption_error": 1.0}
    assert 0.5 < tree["pruned"]["unfamiliar"]["auroc_confidence"] < 1


def test_a_comparison_of_seeds_that_is_missing_is_said(tmp_path: Path) -> None:
    run(tmp_path, (0, 1))
    expected = {
        "seeds": [0, 1],
        "analyses": {"baseline": ["evaluation"]},
        "comparisons": ["seed_comparison"],
    }
    expectations = parse_expectations(json.dumps({"digits": expected}))
    assert missing_in_words(collect(tmp_path, expectations)) == []
    (tmp_path / "digits" / "seed_comparison.json").unlink()
    (sentence,) = missing_in_words(collect(tmp_path, expectations))
    assert sentence == "digits: no seed_comparison of all seeds."
    (tmp_path / "digits" / "seed_comparison.json").write_text("{")
    with pytest.raises(UserError, match=r"seed_comparison\.json is not a result file"):
        collect(tmp_path, expectations)


def test_what_somebody_else_made_has_its_words_and_its_colour(tmp_path: Path) -> None:
    foreign = {"step": "import", "makes": "graph", "parent": None}
    recipes = {
        "baseline": foreign | {"path": "models/theirs.onnx"},
        "int8": foreign | {"path": "models/theirs_int8.onnx"},
    }
    paper_like().write(tmp_path, variants=tuple(recipes))
    settings = settings_of("digits", recipes)
    (experiment,) = collect(tmp_path, None, {"digits": settings})
    assert describe(experiment.recipes, "int8") == (
        "made elsewhere, imported from models/theirs_int8.onnx"
    )
    assert describe({"x": Recipe("x", "import", None, "graph", {})}, "x") == "made elsewhere"
    colours = colours_of(experiment)
    grey, coloured = (colours[v].light for v in ("baseline", "int8"))
    assert grey[1:3] == grey[3:5] == grey[5:7]
    assert int(coloured[5:7], 16) > int(coloured[1:3], 16), "a cold hue, and no grey"


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ({"method": "ddn", "steps": 40}, "Decoupled direction and norm (DDN, L2): 40 steps. "),
        (
            {"method": "carlini_wagner", "iterations": 40, "learning_rate": 0.1},
            "Carlini–Wagner L2: 40 steps at a learning rate of 0.1. ",
        ),
    ],
)
def test_an_attack_says_its_method_and_effort(attack: dict[str, object], words: str) -> None:
    (block,) = [block for block in blocks_of({"near": attack}, []) if block.key == "attack_near"]
    assert block.caption.startswith(words)


def test_what_the_rehearsal_found_appears_once(tmp_path: Path) -> None:
    results = paper_like().write(tmp_path / "results")
    found = {"left_out": {"ablated": "It has one convolution."}, "notes": ["No object is known."]}
    (results / "digits" / "rehearsal.json").write_text(json.dumps(found))
    document = compose(collect(results, None, {"digits": settings_of()}), {}, tmp_path)
    write_report(document, TEMPLATES, tmp_path / "out")
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        assert text.count("It has one convolution.") == text.count("No object is known.") == 1


@pytest.mark.parametrize("width", [1440, 390])
def test_folded_sections_open_and_fit(
    several: tuple[Document, Path], browser: Browser, width: int
) -> None:
    browser.resize(width, 844)
    browser.open(several[1] / "report.html")
    folded = browser.evaluate(
        "document.querySelectorAll('details.block[id^=digits]:not([open])').length"
    )
    shown = [b for b in several[0].sections[0].blocks if b.block.screen and b.block.key != "gate"]
    assert folded == len(several[0].sections[0].blocks) - len(shown)
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.problems() == []
