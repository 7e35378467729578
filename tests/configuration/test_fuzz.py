"""Whatever a configuration holds, it is completed or refused in one sentence."""

import copy
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezed.foundation.errors import UserError
from tests.configuration.test_completion import SCHEMA, SHIPPED, complete
from tests.matrix import matrix

ODD_VALUES = [
    *(None, True, False, "", "x", "0", "-1", "1e3", "3.0", "nan", "1e400", "on", "~", "\n", "\0"),
    *(0, 1, -1, 2, 2**31, 2**32, 2**63, 10**400, 0.0, 0.5, 1.0, 2.0, -0.5, 1e-320, 1e308, 1e16),
    *(float("nan"), float("inf"), float("-inf"), [], [None], [[]], {}, {"x": 1}, {1: 2}, {None: 1}),
    *(["a", "a"], [1, 1.0, True], "../x", "~nobody", "é", "e\u0301", "\ud800", "a" * 300, "--x"),
]
ODD_KEYS = [None, True, 1, 1.5, "", "x", "on", "a b", "-x", "a/b", "é", "x\n", ("a",), "timing"]


def places(node, path=()):
    """Yield the path of everything in a configuration."""
    yield path
    if not isinstance(node, (dict, list)):
        return
    for key, below in node.items() if isinstance(node, dict) else enumerate(node):
        yield from (
            places(below, (*path, key)) if isinstance(below, (dict, list)) else [(*path, key)]
        )


def changed_at(configuration, path, change):
    """Change what is at a path, in place."""
    if not path:
        return
    for key in path[:-1]:
        configuration = configuration[key]
    change(configuration, path[-1])


def put(value):
    def change(parent, key):
        parent[key] = copy.deepcopy(value)

    return change


def rename(name):
    def change(parent, key):
        if isinstance(parent, dict):
            parent[name] = parent.pop(key)
        else:
            parent.append(parent[key])

    return change


def delete(parent, key):
    del parent[key]


SMALL = {
    "run": ["digits"],
    "datasets": {"digits": SHIPPED["datasets"]["digits"], "svhn": SHIPPED["datasets"]["svhn"]},
    "experiments": {"digits": {"dataset": "digits", "architecture": {"name": "vgg6"}}},
}
FULL = complete(SMALL)
"""Every key there is, with its default."""

CHANGES = st.one_of(
    st.sampled_from(ODD_VALUES).map(put),
    st.integers(-(2**70), 2**70).map(put),
    st.floats().map(put),
    st.text(max_size=8).map(put),
    st.sampled_from(ODD_KEYS).map(rename),
    st.just(delete),
)


def outcome(configuration):
    """Complete a configuration; return None, or the one sentence of the refusal."""
    try:
        completed = complete(configuration)
    except UserError as error:
        said = str(error)
        assert said.startswith("config.yaml: ")
        assert "\n" not in said
        return said
    assert complete(completed) == completed
    assert_of_types(completed)
    return None


def assert_of_types(value):
    """Only what JSON has, and no number that a library would refuse."""
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        for below in value.values():
            assert_of_types(below)
    elif isinstance(value, list):
        for below in value:
            assert_of_types(below)
    else:
        assert value is None or type(value) in (bool, int, float, str)


def fuzz(start, steps):
    configuration = copy.deepcopy(start)
    for seed, change in steps:
        paths = list(places(configuration))
        changed_at(configuration, random.Random(seed).choice(paths), change)
    outcome(configuration)


STEPS = st.lists(st.tuples(st.integers(0, 2**32), CHANGES), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_any_change_of_a_configuration_is_taken_or_refused(steps):
    fuzz(FULL, steps)


@pytest.mark.matrix
@pytest.mark.timeout(3600)
@settings(max_examples=3000, deadline=None)
@given(steps=STEPS, whole=st.booleans())
def test_any_change_of_a_configuration_is_taken_or_refused_at_length(steps, whole):
    fuzz(FULL if whole else SMALL, steps)


@pytest.mark.parametrize("value", matrix(ODD_VALUES, None, 1e308))
def test_an_odd_value_is_taken_or_refused_wherever_it_stands(value):
    for path in filter(None, places(FULL)):
        configuration = copy.deepcopy(FULL)
        changed_at(configuration, path, put(value))
        outcome(configuration)


def integer_keys(schema, path=()):
    """Yield the paths of whole numbers, with their largest value."""
    for name, below in schema.get("properties", {}).items():
        if "$ref" in below:
            below = {**SCHEMA["$defs"][below["$ref"].rpartition("/")[2]], **below}
        if "integer" in str(below.get("type")):
            yield (*path, name), below["maximum"]
        yield from integer_keys(below, (*path, name))


@pytest.mark.parametrize(
    ("path", "largest"), list(integer_keys(SCHEMA["$defs"]["experiment"], ("digits",)))
)
def test_a_whole_number_may_be_written_in_several_ways_and_not_be_huge(path, largest):
    """Spreadsheets and sweep tools write 12 as 12.0; 1e400 comes from a misprint."""
    where = ("experiments", *path)

    def given(value):
        configuration = copy.deepcopy(FULL)
        changed_at(configuration, where, put(value))
        return configuration

    def read(value):
        found = complete(given(value))
        for key in where:
            found = found[key]
        return found

    for written in (12.0, "12", "12.0", "1.2e1"):
        assert read(written) == 12
        assert type(read(written)) is int
    for wrong in (True, False, 12.5, "12.5", "twelve", [12]):
        assert "whole number" in outcome(given(wrong))
    for huge in (largest + 1, float(largest + 1), 10**400, str(10**30)):
        assert f"at most {largest}" in outcome(given(huge))
    assert "at least" in outcome(given(-1))


@pytest.mark.parametrize("key", ["seeds", "attacks.paper.images_seed"])
@pytest.mark.parametrize("seed", [0, 2**32 - 1, "7", 7.0])
def test_seeds_are_those_that_every_library_takes(key, seed):
    import numpy as np
    import torch

    path = ("experiments", "digits", *key.split("."))
    configuration = copy.deepcopy(FULL)
    changed_at(configuration, path, put([seed] if key == "seeds" else seed))
    found = complete(configuration)
    for part in path:
        found = found[part]
    (number,) = found if key == "seeds" else [found]
    np.random.RandomState(number)
    np.random.default_rng(number)
    torch.Generator().manual_seed(number)
    for wrong in (-1, 2**32, 202401151230):
        changed_at(configuration, path, put([wrong] if key == "seeds" else wrong))
        assert "but must be at" in outcome(configuration)


def test_a_split_s_seed_is_bounded_too():
    configuration = copy.deepcopy(FULL)
    configuration["datasets"]["digits"]["split_seed"] = 2**32
    assert "at most 4294967295" in outcome(configuration)


@pytest.mark.parametrize("name", [2024, "2024", 7, "on", "null", "true", "yes"])
def test_an_experiment_and_a_data_set_may_have_any_name_that_is_a_text(name):
    configuration = copy.deepcopy(SMALL)
    for sections in ("experiments", "datasets"):
        configuration[sections][name] = configuration[sections].pop("digits")
    configuration["experiments"][name]["dataset"] = name
    configuration["run"] = [name]
    completed = complete(configuration)
    assert completed["run"] == [str(name)]
    assert completed["experiments"][str(name)]["dataset"] in completed["datasets"]


@pytest.mark.parametrize("name", [True, None, 1.5, "a b", "é", "-x", "", "x\n", "a" * 101, "a.b"])
@pytest.mark.parametrize("sections", ["experiments", "datasets"])
def test_what_no_path_may_hold_is_no_name(sections, name):
    configuration = copy.deepcopy(SMALL)
    configuration[sections][name] = copy.deepcopy(configuration[sections]["digits"])
    said = outcome(configuration)
    assert sections in said
    assert repr(name).strip("'")[:50] in said


@pytest.mark.parametrize("text", ["\0", "a\ud800", "\udfff"])
def test_what_no_file_can_hold_is_no_text(text):
    configuration = copy.deepcopy(SMALL)
    configuration["datasets"]["digits"]["description"] = text
    assert "datasets.digits.description holds a zero byte or half a character" in outcome(
        configuration
    )


@pytest.mark.parametrize("sections", ["variants", "attacks"])
def test_a_name_that_no_file_can_have_is_too_long(sections):
    configuration = copy.deepcopy(SMALL)
    section = {"a" * 101: {"step": "prune"} if sections == "variants" else {}}
    configuration["experiments"]["digits"][sections] = section
    assert "at most 100 characters long" in outcome(configuration)


@pytest.mark.parametrize("factor", ["memory_factor", "time_factor"])
def test_what_a_cluster_is_asked_for_is_a_number(factor):
    """1e308 times some megabytes is infinity, which no scheduler has."""
    configuration = copy.deepcopy(FULL)
    configuration["experiments"]["digits"]["resources"][factor] = 1e308
    assert "at most 10000" in outcome(configuration)


def test_masks_that_are_asked_for_are_named_before_any_job():
    configuration = copy.deepcopy(FULL)
    configuration["experiments"]["digits"]["cam"]["object"] = "masks"
    assert "cam.object is 'masks', but its `masks` names no file" in outcome(configuration)


def test_the_rule_of_attacks_names_is_said_as_it_is():
    configuration = copy.deepcopy(SMALL)
    attacks = configuration["experiments"]["digits"].setdefault("attacks", {})
    for name in ("Paper-1", "timing"):
        attacks[name] = {}
        said = outcome(configuration)
        assert f"the name '{name}' at experiments.digits.attacks must be of lower case letters, " \
            "digits and '_', other than timing and variations" in said  # fmt: skip
        del attacks[name]
    attacks[1] = {"images": 3}
    assert complete(configuration)["experiments"]["digits"]["attacks"]["1"]["images"] == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"iterations": 2.5}, "changes.odd.iterations is 2.5, but must be a whole number"),
        ({"learning_rate": "fast"}, "changes.odd.learning_rate is 'fast', but must be a number"),
        ({"constant": 0}, "changes.odd.constant is 0, but must be more than 0"),
    ],
)
def test_what_a_variation_changes_is_checked_as_the_attack_s_own(change, sentence):
    configuration = copy.deepcopy(FULL)
    configuration["experiments"]["digits"]["attack_variations"]["changes"]["odd"] = change
    assert sentence in outcome(configuration)
    configuration["experiments"]["digits"]["attack_variations"]["changes"]["odd"] = {
        "iterations": 3.0,
        "learning_rate": "1e-3",
    }
    completed = complete(configuration)["experiments"]["digits"]["attack_variations"]["changes"]
    assert completed["odd"] == {"iterations": 3, "learning_rate": 0.001}


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ({"source": {"kind": "folder"}}, "source of kind folder needs a `path`"),
        ({"source": {"kind": "imagenet"}}, "source of kind imagenet needs a `path`"),
        ({"source": {"kind": "folder", "path": ""}}, "source of kind folder needs a `path`"),
        ({"source": {"kind": "svhn"}}, "needs `files.train` (url and md5)"),
        (
            {"source": {"kind": "cifar10", "files": {"archive": {"md5": "0" * 32}}}},
            "needs `files.archive` (url and md5)",
        ),
        (
            {"source": {"kind": "digits"}, "normalisation": {"mean": [0.5]}},
            "three values of `mean`",
        ),
        ({"source": {"kind": "folder", "path": "x"}, "storage": "files"}, "needs `crop`"),
    ],
)
def test_a_section_that_cannot_work_is_refused_before_any_job(dataset, sentence):
    configuration = copy.deepcopy(SMALL)
    configuration["datasets"]["mine"] = dataset
    said = outcome(configuration)
    assert sentence in said
    assert "datasets.mine" in said


@pytest.mark.parametrize("section", ["training", "pruning.recovery"])
def test_random_parts_of_images_in_memory_are_refused_before_any_job(section):
    configuration = copy.deepcopy(FULL)
    path = ("experiments", "digits", *section.split("."), "augmentation", "resized_crop")
    changed_at(configuration, path, put(0.5))
    assert f"{section}.augmentation.resized_crop needs a data set of storage `files`" in outcome(
        configuration
    )
