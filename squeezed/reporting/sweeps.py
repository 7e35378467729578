"""Variants that differ in one setting: the points of a curve."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from squeezed.configuration.recipes import Recipe, chain_of


@dataclass(frozen=True)
class Sweep:
    """Variants that differ in one number alone, of their own step or of a step before it."""

    setting: str
    variants: tuple[str, ...]
    """In the order of the number."""


def sweeps_of(recipes: Mapping[str, Recipe]) -> list[Sweep]:
    """Return every sweep of two variants or more."""
    flat = {name: dict(_flat_chain(recipes, name)) for name in recipes}
    groups: dict[tuple[str, str], dict[str, float]] = {}
    for name, settings in flat.items():
        for key, value in settings.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                others = json.dumps({k: v for k, v in settings.items() if k != key}, default=str)
                groups.setdefault((key, others), {})[name] = value
    return [
        Sweep(
            key.rpartition(".")[2].replace("_", " "), tuple(sorted(values, key=lambda v: values[v]))
        )
        for (key, _), values in groups.items()
        if len(values) > 1
    ]


def _flat_chain(recipes: Mapping[str, Recipe], name: str) -> Iterator[tuple[str, Any]]:
    """Yield what makes a variant: each step's name and settings, by its place in the chain."""
    for depth, recipe in enumerate(chain_of(recipes, name)):
        yield f"{depth}", recipe.step
        yield from _flat(f"{depth}", recipe.settings)


def _flat(where: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{where}.{key}", value)
        else:
            yield f"{where}.{key}", value
