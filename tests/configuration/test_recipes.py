"""Recipes: what a user may leave out, what is refused, and in which order variants are made."""

import copy

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezed.configuration.completion import load_schema
from squeezed.configuration.plan import ASSUMED, read_configuration
from squeezed.configuration.recipes import (
    PROPERTIES,
    chain_of,
    properties_of,
    recipe_of,
    recipes_of,
)
from squeezed.foundation.errors import UserError
from tests import PROJECT

SCHEMA = load_schema(PROJECT / "config.schema.yaml")
DEFAULTS = SCHEMA["$defs"]["experiment"]["properties"]["variants"]["default"]


def experiment(variants=None, facts=ASSUMED, **sections):
    """Complete an experiment with these variants, as they stand in the configuration."""
    section = {"dataset": "digits", "architecture": {"name": "vgg6"}, **sections}
    if variants is not None:
        section["variants"] = variants
    configuration = {
        "run": ["mine"],
        "datasets": {"digits": {"source": {"kind": "digits"}}},
        "experiments": {"mine": section},
    }
    return read_configuration(configuration, SCHEMA, lambda architecture: facts)["experiments"][
        "mine"
    ]


def refusal(variants, **arguments):
    with pytest.raises(UserError) as error:
        experiment(variants, **arguments)
    said = str(error.value)
    assert "\n" not in said
    return said


def test_the_papers_variants_are_the_defaults():
    assert list(experiment()["variants"]) == ["baseline", *DEFAULTS]


def test_null_leaves_one_out_and_with_it_what_nobody_asked_for():
    variants = experiment({"pruned": None})["variants"]
    assert "pruned" not in variants
    assert "pruned_quantized" not in variants
    assert "quantized" in variants


def test_who_asks_for_a_child_of_what_is_left_out_is_told():
    said = refusal({"pruned": None, "pruned_quantized": {}})
    assert "unknown parent 'pruned'" in said


def test_a_recipe_lies_over_its_section_and_its_section_over_the_schema():
    made = experiment(
        {"pruned_60": {"step": "prune", "amount": 0.6, "recovery": {"epochs": 1}}},
        pruning={"granularity": "filter", "recovery": {"learning_rate": 0.5}},
    )
    recipe = recipes_of(made)["pruned_60"]
    assert recipe.settings["amount"] == 0.6
    assert recipe.settings["granularity"] == "filter"
    assert recipe.settings["recovery"]["epochs"] == 1
    assert recipe.settings["recovery"]["learning_rate"] == 0.5
    schema = SCHEMA["$defs"]["training"]["properties"]
    assert recipe.settings["recovery"]["momentum"] == schema["momentum"]["default"]
    assert made["pruning"]["amount"] == 0.2  # the section itself stays as it was


def test_a_default_keeps_its_step_where_only_a_setting_is_given():
    recipes = recipes_of(experiment({"quantized": {"granularity": "channel"}}))
    assert recipes["quantized"].step == "quantize"
    assert recipes["quantized"].settings["granularity"] == "channel"
    assert recipes["pruned_quantized"].settings["granularity"] == "tensor"


def test_numbers_written_as_texts_are_read():
    """As `snakemake --config` and DVC hand them over."""
    recipes = recipes_of(experiment({"a": {"step": "prune", "amount": "4e-1"}}))
    assert recipes["a"].settings["amount"] == 0.4


def test_parents_come_before_children_whatever_the_order():
    variants = experiment(
        {
            "c": {"step": "quantize", "parent": "b", "calibration_images": 3},
            "b": {"step": "prune", "parent": "a", "amount": 0.7},
            "a": {"step": "prune", "amount": 0.5},
        }
    )["variants"]
    names = list(variants)
    assert names[0] == "baseline"
    assert names.index("a") < names.index("b") < names.index("c")


def test_a_trained_on_baseline_is_a_recipe():
    recipes = recipes_of(experiment({"longer": {"step": "train", "parent": "baseline"}}))
    assert recipes["longer"].parent == "baseline"
    assert recipes["baseline"].parent is None


def test_a_recipe_survives_json():
    for recipe in recipes_of(experiment()).values():
        assert recipe_of(recipe.name, recipe.as_mapping()) == recipe


def test_a_step_of_ones_own_keeps_its_settings():
    made = experiment({"halved": {"step": "my_steps.halve:halve", "by": 2}})
    recipe = recipes_of(made)["halved"]
    assert recipe.entry == "my_steps.halve:halve"
    assert recipe.settings == {"by": 2}
    assert recipe.makes == "network"


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ({"a": {"step": "prun"}}, ["unknown step 'prun'", "did you mean 'prune'"]),
        ({"a": {}}, ["has no step"]),
        ({"a": {"step": "prune", "parent": "b"}}, ["unknown parent 'b'"]),
        ({"a": {"step": "prune", "parent": "quantized"}}, ["'quantized' is a graph", "trains"]),
        (
            {"a": {"step": "prune", "parent": "b"}, "b": {"step": "prune", "parent": "a"}},
            ["circle"],
        ),
        ({"a": {"step": "prune"}}, ["'pruned' and 'a' are the same recipe"]),
        ({"a": {"step": "prune", "amoun": 0.5}}, ["unknown key 'amoun'", "variants.a"]),
        ({"a": {"step": "prune", "amount": 2}}, ["variants.a.amount is 2"]),
        ({"a": {"step": "prune", "recovery": {"epochs": "many"}}}, ["a.recovery.epochs"]),
        ({"a": {"step": "prune", "makes": "graph"}}, ["'makes'"]),
        ({"a": {"step": "mine:f", "makes": "tea"}}, ["makes is 'tea'"]),
        ({"eight_bit": {"step": "prune", "amount": 0.5}}, ["another name"]),
        ({"baseline": {"step": "prune"}}, ["needs a parent"]),
        ({"a b": {"step": "prune"}}, ["must be of letters"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(variants, words):
    said = refusal(variants)
    for word in words:
        assert word in said


def test_the_list_of_the_first_version_is_refused_with_what_says_the_same():
    said = refusal(["baseline", "pruned_quantized"])
    written = said.partition("`")[2].rstrip("`")
    rewritten = yaml.safe_load(written)["variants"]
    assert list(experiment(rewritten)["variants"]) == ["baseline", "pruned", "pruned_quantized"]


def test_defaults_that_an_architecture_cannot_have_are_left_out_and_named_ones_refused():
    facts = {"fully_connected": 0, "convolution": 9}
    made = experiment(facts=facts, effort="thorough")
    assert "linear_quantized" not in made["variants"]
    assert "fully connected" in made["left_out"]["linear_quantized"]
    assert made["attacks"]["paper_arrangement"]["variants"] == ["quantized", "pruned_quantized"]
    said = refusal({"mine": {"step": "quantize", "layers": "linear"}}, facts=facts)
    assert "has none" in said


def test_what_makes_a_network_needs_an_architecture():
    section = {"dataset": "digits", "variants": {}}
    configuration = {
        "run": ["mine"],
        "datasets": {"digits": {"source": {"kind": "digits"}}},
        "experiments": {"mine": section},
    }
    with pytest.raises(UserError, match=r"'architecture' is missing at experiments\.mine"):
        read_configuration(configuration, SCHEMA, lambda architecture: ASSUMED)


def test_variants_are_chosen_by_name_and_by_property():
    made = experiment(
        {"slim": {"step": "prune", "remove": True}},
        attacks={"some": {"variants": ["baseline", "fewer_channels", "masked"]}},
    )
    assert made["attacks"]["some"]["variants"] == [
        "baseline",
        "pruned",
        "pruned_quantized",
        "slim",
    ]


def test_a_choice_of_a_default_that_was_left_out_chooses_less():
    made = experiment({"ablated": None}, attacks={"some": {"variants": ["ablated", "pruned"]}})
    assert made["attacks"]["some"]["variants"] == ["pruned"]


def test_a_choice_of_nothing_known_is_refused():
    said = refusal(None, attacks={"some": {"variants": ["prunde"]}})
    assert "did you mean 'pruned'" in said


def test_a_property_is_inherited():
    recipes = recipes_of(experiment())
    assert properties_of(recipes, "pruned_quantized") == {"masked", "eight_bit"}
    assert properties_of(recipes, "baseline") == frozenset()
    assert [r.name for r in chain_of(recipes, "pruned_quantized")] == [
        "baseline",
        "pruned",
        "pruned_quantized",
    ]


names = st.sampled_from(["a", "b", "c", "pruned", "baseline", "quantized"])
recipes = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "step": st.sampled_from([*SCHEMA["x-steps"], "mine:f", "none", 3]),
            "parent": st.one_of(names, st.none(), st.integers()),
            "amount": st.one_of(st.floats(), st.text(max_size=3)),
            "makes": st.sampled_from(["network", "graph"]),
        },
    ),
)


@settings(deadline=None)  # what is timed elsewhere
@given(st.dictionaries(names, recipes, max_size=5))
def test_any_recipes_are_ordered_or_refused(variants):
    given_before = copy.deepcopy(variants)
    try:
        made = recipes_of(experiment(variants))
    except UserError as error:
        assert "\n" not in str(error)
        return
    finally:
        assert variants == given_before or variants != variants  # NaN is unlike itself
    seen = []
    for name, recipe in made.items():
        assert recipe.parent is None or recipe.parent in seen
        assert properties_of(made, name) <= set(PROPERTIES)
        seen.append(name)
