"""The report says with which effort it was made, and what that leaves open."""

import re
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from squeezed.paper.lens import LENS
from squeezed.reporting.collection import collect
from squeezed.reporting.document import compose
from squeezed.reporting.effort import DECIDING_IMAGES, left_open
from squeezed.reporting.render import render
from tests.report.conftest import TEMPLATES
from tests.report.made_up import paper_like, settings_of

LIGHT = {
    "effort": "standard",
    "attacks": {"strong": {"images": 32}},
    "diagnostics": {"attack": "strong"},
    "corruptions": {"kinds": ["fog"], "images": 120},
}


@pytest.fixture(name="experiment")
def made_up(tmp_path):
    results = paper_like().write(tmp_path / "results", "digits")
    return collect(results, None, {"digits": settings_of()})[0]


def test_fewer_images_decide_nothing_by_an_exact_test():
    assert binomtest(0, DECIDING_IMAGES).pvalue < 0.05 <= binomtest(0, DECIDING_IMAGES - 1).pvalue


def test_it_names_the_least_difference_that_can_be_shown(experiment):
    (sentence,) = left_open(replace(experiment, settings=LIGHT), 360)
    assert "effort of this run is standard" in sentence
    assert "19 points of robust accuracy (32 images)" in sentence
    assert "5 points of accuracy under a corruption (120 images)" in sentence


def test_a_small_test_set_counts_with_the_images_that_it_has(experiment):
    (sentence,) = left_open(replace(experiment, settings=LIGHT), 20)
    assert re.search(r"30 points of robust accuracy \(20 images\)", sentence)


def test_a_thorough_run_and_one_without_effort_leave_nothing_open(experiment):
    assert left_open(replace(experiment, settings=LIGHT | {"effort": "thorough"}), 360) == []
    assert left_open(replace(experiment, settings={}), 360) == []


@pytest.mark.parametrize("effort", ["quick", "standard", "thorough"])
def test_the_page_says_it(experiment, tmp_path, effort):
    settings = settings_of() | {"effort": effort}
    document = compose(
        [replace(experiment, settings=settings)], {"digits": settings}, tmp_path, [LENS]
    )
    for text in render(document, TEMPLATES).values():
        assert f"effort {effort}" in text
        assert (f"The effort of this run is {effort}" in text) == (effort != "thorough")
