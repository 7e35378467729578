"""How variants are made: each by one step from one parent, with the step's settings.

Loads no torch: the workflow reads recipes while it builds the graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How one variant is made."""

    name: str
    step: str
    parent: str | None
    makes: str
    """`network` or `graph`."""
    settings: Mapping[str, Any]


def recipes_of(experiment: Mapping[str, Any]) -> dict[str, Recipe]:
    """Return the recipes of a completed experiment: the baseline first, parents before children."""
    return {
        name: Recipe(
            name,
            recipe["step"],
            recipe["parent"],
            recipe["makes"],
            {key: value for key, value in recipe.items() if key not in ("step", "parent", "makes")},
        )
        for name, recipe in experiment["variants"].items()
    }


def chain_of(recipes: Mapping[str, Recipe], name: str) -> list[Recipe]:
    """Return the recipes from the baseline's to this one."""
    chain = [recipes[name]]
    while chain[0].parent is not None:
        chain.insert(0, recipes[chain[0].parent])
    return chain


def properties_of(recipes: Mapping[str, Recipe], name: str) -> frozenset[str]:
    """Return what became of the network, by the steps that made the variant."""
    found = set()
    for recipe in chain_of(recipes, name):
        if recipe.step == "prune":
            found.add("fewer_channels" if recipe.settings.get("remove") else "masked")
        by_step = {
            "quantize": "eight_bit",
            "ablate": "fewer_layers",
            "factorize": "low_rank",
            "distil": "smaller",
        }
        found |= {by_step[recipe.step]} if recipe.step in by_step else set()
    return frozenset(found)
