"""Variants that somebody else made: no parent, no architecture, and only then."""

from pathlib import Path

import pytest

from squeezed.configuration.completion import load_schema
from squeezed.configuration.plan import read_configuration
from squeezed.configuration.recipes import recipes_of
from squeezed.foundation.errors import UserError
from squeezed.foundation.settings import read_settings
from squeezed.graphs.foreign.importing import ImportSettings

SCHEMA = load_schema(Path(__file__).parents[2] / "config.schema.yaml")
IMPORTED = {
    "baseline": {"step": "import", "path": "model.onnx"},
    "int8": {"step": "import", "path": "model_int8.onnx", "mean": [0.5], "std": [0.5]},
}


def completed(variants, **more):
    configuration = {
        "run": ["mine"],
        "datasets": {"photos": {"source": {"kind": "digits"}}},
        "experiments": {"mine": {"dataset": "photos", "variants": variants, **more}},
    }
    facts = {"fully_connected": 1, "convolution": 2}
    return read_configuration(configuration, SCHEMA, lambda architecture: facts)


def test_imported_variants_need_neither_parent_nor_architecture():
    recipes = recipes_of(completed(IMPORTED)["experiments"]["mine"])
    assert list(recipes) == ["baseline", "int8"]
    assert {recipe.parent for recipe in recipes.values()} == {None}
    assert {recipe.makes for recipe in recipes.values()} == {"graph"}
    settings = read_settings(ImportSettings, recipes["int8"].settings)
    assert settings.preprocessing().mean == (0.5,)


def test_an_imported_graph_can_be_quantized():
    recipes = recipes_of(
        completed({**IMPORTED, "ours": {"step": "quantize"}})["experiments"]["mine"]
    )
    assert recipes["ours"].parent == "baseline"


def test_a_network_still_needs_an_architecture():
    with pytest.raises(UserError, match=r"the key 'architecture' is missing at experiments\.mine"):
        completed({"theirs": IMPORTED["int8"]})


def test_nothing_is_trained_from_an_imported_graph():
    with pytest.raises(UserError, match="is a graph with nothing to train"):
        completed({**IMPORTED, "pruned": {"step": "prune"}}, architecture={"name": "vgg6"})
