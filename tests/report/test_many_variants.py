"""Many variants of any name: legible in a browser, named, described and joined by recipe."""

import json
from collections.abc import Iterable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from squeezed.reporting.collection import collect
from squeezed.reporting.colours import colours_of
from squeezed.reporting.document import Document, compose
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_tsne import CLASS_COLOURS
from squeezed.reporting.files import write_report
from squeezed.reporting.reasons import reasons_for
from squeezed.reporting.sweeps import sweeps_of
from squeezed.reporting.vocabulary import describe, in_words
from tests.report.browser import Browser
from tests.report.conftest import TEMPLATES
from tests.report.made_up import RECIPES, settings_of, sweep_like, sweep_recipes

LEFT_OUT = {"pruned_95": "Its recipe leaves no channel of features.3."}
NOTES = ["No object is known in these images."]

# Texts of one picture that lie over each other, by more than a hair.
OVERLAPS = """[...document.querySelectorAll(".front svg, .scroll-figure > svg")]
.flatMap(svg => {
  const boxes = [...svg.querySelectorAll("text")].filter(e => e.textContent.trim())
    .map(e => [e.textContent, e.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1)
    .filter(([b, q]) => Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1.5
      && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 2.5)
    .map(([b]) => svg.getAttribute("aria-label").slice(0, 30) + ": " + a + " / " + b));
})"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Document, Path]:
    """Return the document of a sweep of seventeen variants, and its report's folder."""
    folder = tmp_path_factory.mktemp("sweep")
    recipes = sweep_recipes()
    results = sweep_like().write(folder / "results", variants=tuple(recipes))
    rehearsal = {"left_out": LEFT_OUT, "notes": NOTES}
    (results / "digits" / "rehearsal.json").write_text(json.dumps(rehearsal))
    settings = {"digits": settings_of("digits", recipes)}
    document = compose(collect(results, None, settings), settings, folder)
    write_report(document, TEMPLATES, folder / "out")
    return document, folder / "out"


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_no_label_lies_over_another(
    sweep: tuple[Document, Path], browser: Browser, width: int, height: int
) -> None:
    browser.resize(width, height)
    browser.open(sweep[1] / "report.html")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.querySelectorAll('.front svg').length") == 1
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(OVERLAPS) == []
    small = browser.evaluate(
        """[...document.querySelectorAll(".front text, .scroll-figure text")]
        .map(e => e.getBoundingClientRect().height).filter(h => h > 0 && h < 8).length"""
    )
    assert small == 0


def test_every_variant_is_in_the_picture_and_the_table_in_the_order_of_the_configuration(
    sweep: tuple[Document, Path],
) -> None:
    (section,) = sweep[0].sections
    assert section.experiment.variants == list(sweep_recipes())
    assert section.front is not None
    for variant in section.experiment.variants:
        assert f">{in_words(variant)}</text>" in section.front
    filled = section.block("variants")
    assert filled is not None and filled.table is not None
    assert [variant for variant, _ in filled.table.rows] == list(sweep_recipes())


def test_what_was_left_out_is_said(sweep: tuple[Document, Path]) -> None:
    for name in ("report.html", "report.md"):
        text = (sweep[1] / name).read_text()
        assert "Pruned 95" in text and LEFT_OUT["pruned_95"] in text and NOTES[0] in text


def test_colours_are_each_variants_own_with_a_hue_for_each_step(
    sweep: tuple[Document, Path],
) -> None:
    (section,) = sweep[0].sections
    colours = colours_of(section.experiment)
    for scheme in ("light", "dark"):
        assert len({getattr(colour, scheme) for colour in colours.values()}) == len(colours)
    page = (sweep[1] / "report.html").read_text()
    for colour in colours.values():
        assert page.count(f"{colour.variable}: #") == 2, "a light and a dark one"
        assert f"var({colour.variable}" in page

    def red_and_blue(variant: str) -> tuple[int, int]:
        return int(colours[variant].light[1:3], 16), int(colours[variant].light[5:], 16)

    for variant, recipe in sweep_recipes().items():
        red, blue = red_and_blue(variant)
        if recipe["step"] in ("prune", "quantize"):
            assert (red > blue) == (recipe["step"] == "prune"), variant


def oklab(colour: str) -> NDArray[np.float64]:
    """Return a colour where distances are as seen (Ottosson 2020)."""
    rgb = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
    opponent = [
        [0.21045, 0.79362, -0.00407],
        [1.97800, -2.42859, 0.45059],
        [0.0259, 0.78277, -0.80868],
    ]
    return np.array(opponent) @ np.cbrt(np.array(cones) @ light)


def least_distance(colours: Iterable[tuple[str, str]]) -> float:
    """Return how far apart the two most alike are; 0.02 can just be told."""
    return min(float(np.linalg.norm(oklab(one) - oklab(other))) for one, other in colours)


def test_neighbours_colours_can_be_told_apart(sweep: tuple[Document, Path]) -> None:
    assert least_distance(combinations(CLASS_COLOURS, 2)) > 0.1, "of classes: horse and truck too"
    few = {name: recipe for name, recipe in sweep_recipes().items() if name in RECIPES}
    settings = {"digits": settings_of("digits", few)}
    default = Experiment("digits", (0,), list(few), Path(), settings=settings["digits"])
    for scheme in ("light", "dark"):
        own = [getattr(colour, scheme) for colour in colours_of(default).values()]
        assert least_distance(combinations(own, 2)) > 0.1, "quantized and linear quantized too"
        of_sweep = colours_of(sweep[0].sections[0].experiment)
        assert least_distance(pairwise(getattr(c, scheme) for c in of_sweep.values())) > 0.05


def test_variants_that_differ_in_one_number_are_a_sweep(sweep: tuple[Document, Path]) -> None:
    (section,) = sweep[0].sections
    found = {(s.setting, s.variants) for s in sweeps_of(section.experiment.recipes)}
    assert found == {
        ("amount", ("pruned", "pruned_40", "pruned_60", "pruned_80")),
        ("amount", ("slim_25", "slim_50")),
        ("amount", ("pruned_quantized", "pruned_40_quantized")),
    }


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("pruned_40", "40 % of the weights set to zero in slices, retrained 3 epochs"),
        ("pruned_40_quantized", "8 bits, static, one scale per layer, of Pruned 40"),
        ("linear_quantized", "8 bits, dynamic, one scale per layer, in the fully connected layers"),
        ("slim_50", "channels removed: 50 %"),
        ("distilled", "a smaller network taught by Baseline"),
        ("factorized", "low rank, 50 % of the rank kept"),
        ("halved", "made by own_steps.halve:halve (amount 0.5)"),
        ("ablated", "the last convolution cut out, retrained 3 epochs"),
    ],
)
def test_a_variant_is_described_by_its_recipe(
    sweep: tuple[Document, Path], variant: str, words: str
) -> None:
    (section,) = sweep[0].sections
    assert describe(section.experiment.recipes, variant).startswith(words)


def test_reasons_follow_from_properties_not_names(tmp_path: Path) -> None:
    recipes = {"baseline": RECIPES["baseline"], "tiny": RECIPES["pruned"]}
    recipes |= {"tinier": RECIPES["quantized"], "two": RECIPES["pruned_quantized"]}
    recipes["two"] = recipes["two"] | {"parent": "tiny"}
    results = sweep_like().write(tmp_path, variants=tuple(recipes))
    (experiment,) = collect(results, None, {"digits": settings_of("digits", recipes)})
    reasons = {sentence.partition(":")[0]: sentence for sentence in reasons_for(experiment)}
    assert "nothing to skip" in reasons["Tiny"] and "a zero is stored" in reasons["Tiny"]
    assert "8 bits change how a weight is stored" in reasons["Tinier"]
    experiment.settings = {}
    assert all("(" not in sentence for sentence in reasons_for(experiment)), "no recipe, no reason"


def test_engines_are_shown_where_there_are_several_or_something_was_found(tmp_path: Path) -> None:
    results = sweep_like().write(tmp_path, variants=tuple(RECIPES), parts=("evaluation",))
    settings = {"digits": settings_of()}
    (experiment,) = collect(results, None, settings)
    document = compose([experiment], settings, tmp_path)
    keys = {filled.block.key for filled in document.sections[0].blocks}
    assert "performance" in keys and "engines" not in keys
    experiment.records[0, "quantized", "evaluation"] |= {
        "layers_with_weights": 9,
        "layers_executed_int8": 8,
        "finding": "features.0 runs in 32 bits.",
        "openvino_disagreement_share": 0.004,
    }
    experiment.records[0, "quantized", "inference_timing"]["measured"]["openvino_speedup"] = 3.0
    document = compose([experiment], settings, tmp_path)
    engines = next(f for f in document.sections[0].blocks if f.block.key == "engines")
    assert engines.table is not None
    labels = [column.label for column in engines.table.columns]
    assert labels == ["Layers", "In 8 bits", "Speed-up", "… openvino", "openvino disagrees"]
    assert list(engines.notes) == ["Quantized: features.0 runs in 32 bits."]
