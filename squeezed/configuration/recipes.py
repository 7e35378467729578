"""Recipes: how each variant of an experiment is made, from which parent, with which settings.

A recipe is written as little as possible; here it is completed, checked and put in order. Loads no
torch: the workflow does this while it builds the graph.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from squeezed.configuration.completion import choices, complete_section
from squeezed.foundation.errors import UserError

BASELINE = "baseline"
"""The variant that all others are compared with."""
NETWORK, GRAPH = "network", "graph"
"""What a step makes: something to train on, or something to deploy."""
PARENTLESS = ("train", "import")
"""Steps that need nothing to start from."""
ENTRIES = {"import": "squeezed.graphs.foreign.importing:import_graph"}
"""Functions of steps that stand elsewhere than in `squeezed.steps`: `import` is a word of Python,
and understands graphs, which steps do not."""
EVERYTHING = "all"
OWN = ("step", "parent", "makes")
"""The keys of a recipe that are not its step's settings."""


@dataclass(frozen=True)
class Recipe:
    """How a variant is made."""

    name: str
    step: str
    """A step of `x-steps` in the schema, or `package.module:function`."""
    parent: str | None
    """Another variant; None where it is made from nothing but data."""
    makes: str
    """`network` or `graph`."""
    settings: Mapping[str, Any]
    """The step's settings, complete."""

    @property
    def entry(self) -> str:
        """The step's function, as `package.module:function`."""
        if ":" in self.step:
            return self.step
        return ENTRIES.get(self.step, f"squeezed.steps.{self.step}:{self.step}")

    def as_mapping(self) -> dict[str, Any]:
        """Return the recipe as JSON-ready values; `recipe_of` reads it back."""
        return {"step": self.step, "parent": self.parent, "makes": self.makes, **self.settings}


def recipe_of(name: str, mapping: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `Recipe.as_mapping` wrote."""
    settings = {key: value for key, value in mapping.items() if key not in OWN}
    return Recipe(name, mapping["step"], mapping["parent"], mapping["makes"], settings)


def recipes_of(experiment: Mapping[str, Any]) -> dict[str, Recipe]:
    """Return the recipes of a completed experiment: baseline first, parents before children."""
    # JSON with sorted keys may have come between.
    return _in_order({name: recipe_of(name, m) for name, m in experiment["variants"].items()})


def chain_of(recipes: Mapping[str, Recipe], name: str) -> list[Recipe]:
    """Return the recipes that lead to a variant, the first one first and its own last."""
    chain = [recipes[name]]
    while chain[0].parent is not None:
        chain.insert(0, recipes[chain[0].parent])
    return chain


PROPERTIES = {
    "eight_bit": lambda recipe: recipe.step == "quantize",
    "masked": lambda recipe: recipe.step == "prune" and not recipe.settings.get("remove"),
    "fewer_channels": lambda recipe: recipe.step == "prune" and bool(recipe.settings.get("remove")),
    "fewer_layers": lambda recipe: recipe.step == "ablate",
    "low_rank": lambda recipe: recipe.step == "factorize",
    "smaller": lambda recipe: recipe.step == "distil",
}
"""What can be said of a variant whatever its name: whether any recipe of its chain is so."""


def properties_of(recipes: Mapping[str, Recipe], name: str) -> frozenset[str]:
    """Return which of `PROPERTIES` a variant has."""
    chain = chain_of(recipes, name)
    return frozenset(word for word, holds in PROPERTIES.items() if any(map(holds, chain)))


def needs_of(recipe: Recipe) -> str | None:
    """Return the kind of layer that a network must have for this recipe (`architectures.KINDS`)."""
    if recipe.step == "quantize" and recipe.settings["layers"] == "linear":
        return "fully_connected"
    return "convolution" if recipe.step == "ablate" else None


def complete_variants(
    experiment: dict[str, Any],
    name: str,
    schema: Mapping[str, Any],
    defaults: Mapping[str, Any],
    facts: Mapping[str, int],
) -> None:
    """Put complete recipes into `experiment["variants"]`, and names where variants are chosen.

    Args:
        experiment: an experiment's section, all else complete; changed in place.
        name: the experiment's, for messages.
        schema: the configuration's.
        defaults: the schema's default variants.
        facts: how many layers of each kind the experiment's architecture has. A default variant
            that it cannot have is left out, and `experiment["left_out"]` says why.

    Raises:
        UserError: for a variant that the architecture cannot have, an unknown step or parent, a
            circle of parents, a step that trains what cannot be trained, two recipes that are the
            same, or a setting that is not the step's.
    """
    where = f"experiments.{name}.variants"
    given = experiment["variants"]
    written = _with_defaults(given, defaults)
    recipes = {
        variant: _complete(variant, recipe, experiment, where, schema)
        for variant, recipe in written.items()
    }
    experiment["left_out"] = {}
    for variant, recipe in list(recipes.items()):
        need = needs_of(recipe)
        if need is None or facts[need]:
            continue
        reason = (
            f"the step {recipe.step!r} needs a {need.replace('_', ' ')} layer, and "
            f"{experiment['architecture']['name']} has none"
        )
        if variant in given:
            raise UserError(f"config.yaml: {where}.{variant}: {reason}; leave the variant out")
        experiment["left_out"][variant] = reason
        del recipes[variant]
    _check_parents(recipes, where)
    _check_architecture(recipes, experiment, name)
    recipes = _in_order(recipes)
    _check_twins(recipes, where)
    experiment["variants"] = {variant: r.as_mapping() for variant, r in recipes.items()}
    choosing = {f"attacks.{key}": attack for key, attack in experiment["attacks"].items()}
    choosing["attack_variations"] = experiment["attack_variations"]
    left_out = defaults.keys() - recipes.keys()
    for key, section in choosing.items():
        wanted = [word for word in section["variants"] if word not in left_out]
        place = f"experiments.{name}.{key}.variants"
        section["variants"] = chosen_variants(wanted, recipes, place)


def chosen_variants(wanted: Iterable[str], recipes: Mapping[str, Recipe], where: str) -> list[str]:
    """Return the variants that names and properties choose, in the order of the recipes.

    Raises:
        UserError: for a word that is neither.
    """
    found: set[str] = set()
    for word in wanted:
        if word in recipes:
            found.add(word)
        elif word == EVERYTHING:
            found |= recipes.keys()
        elif word in PROPERTIES:
            found |= {variant for variant in recipes if word in properties_of(recipes, variant)}
        else:
            allowed = [*recipes, EVERYTHING, *PROPERTIES]
            raise UserError(
                f"config.yaml: {where} names {word!r}, which is no variant and no property of "
                f"one; {choices(word, allowed)}"
            )
    return [variant for variant in recipes if variant in found]


def rewritten_list(names: list[Any], defaults: Mapping[str, Any]) -> str:
    """Return the mapping that says what a list of variants said in the first version."""
    kept = {str(name) for name in names}
    for name in list(kept):
        while (name := defaults.get(name, {}).get("parent", "")) in defaults:
            kept.add(name)
    lines = [f"{name}: null" for name in defaults if name not in kept]
    lines += [f"{name}: {{step: …}}" for name in names if name not in {BASELINE, *defaults}]
    return f"variants: {{{', '.join(lines)}}}"


def _with_defaults(
    written: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the recipes as written, with the defaults that apply; the baseline first."""
    baseline = {"step": "train", **(written.get(BASELINE) or {})}
    found: dict[str, dict[str, Any]] = {BASELINE: baseline}
    if baseline["step"] == "train":
        for name, recipe in defaults.items():
            given = written.get(name, {})
            if given is None:
                continue
            other_step = given.get("step", recipe["step"]) != recipe["step"]
            found[name] = dict(given) if other_step else {**recipe, **given}
        # A default whose parent is left out, and that nobody asked for, is left out with it.
        for name in [n for n in found if n in defaults and n not in written]:
            if found[name].get("parent", BASELINE) not in found:
                del found[name]
    for name, recipe in written.items():
        if recipe is not None and name not in found:
            found[name] = dict(recipe)
    return found


def _complete(
    name: str,
    written: Mapping[str, Any],
    experiment: Mapping[str, Any],
    where: str,
    schema: Mapping[str, Any],
) -> Recipe:
    steps = schema["x-steps"]
    if name in (EVERYTHING, *PROPERTIES):
        raise UserError(
            f"config.yaml: {where} names a variant {name!r}, a word that chooses variants by what "
            "they are; give it another name"
        )
    step = written.get("step")
    if not isinstance(step, str) or not (step in steps or _is_own(step)):
        said = "has no step" if step is None else f"has an unknown step {step!r}"
        raise UserError(
            f"config.yaml: {where}.{name} {said}; {choices(step, steps)}, or name a function of "
            "your own as package.module:function"
        )
    parent = written.get("parent", None if name == BASELINE or step in PARENTLESS else BASELINE)
    own = {key: value for key, value in written.items() if key not in OWN}
    if _is_own(step):
        makes = written.get("makes", NETWORK)
        if makes not in (NETWORK, GRAPH):
            raise UserError(
                f"config.yaml: {where}.{name}.makes is {makes!r}; choose from {NETWORK}, {GRAPH}"
            )
        return Recipe(name, step, parent, makes, own)
    if "makes" in written:
        raise UserError(
            f"config.yaml: {where}.{name} has a key 'makes', which only a step of your own needs"
        )
    section = steps[step]["section"]
    part = schema["$defs"]["experiment"]["properties"][section]
    settings = complete_section(
        own, experiment[section], part, f"{where}.{name}", schema, experiment["effort"]
    )
    return Recipe(name, step, parent, steps[step]["makes"], settings)


def _is_own(step: str) -> bool:
    module, _, function = step.partition(":")
    return bool(function) and all(part.isidentifier() for part in [*module.split("."), function])


def _check_parents(recipes: Mapping[str, Recipe], where: str) -> None:
    for name, recipe in recipes.items():
        if recipe.parent is None:
            if recipe.step not in PARENTLESS:
                raise UserError(
                    f"config.yaml: {where}.{name} has the step {recipe.step!r}, which needs a "
                    "parent to start from; a baseline's step is 'train'"
                )
            continue
        if recipe.parent not in recipes:
            raise UserError(
                f"config.yaml: {where}.{name} has an unknown parent {recipe.parent!r}; "
                f"{choices(recipe.parent, [other for other in recipes if other != name])}"
            )
        if recipe.makes == NETWORK and recipes[recipe.parent].makes == GRAPH:
            raise UserError(
                f"config.yaml: {where}.{name} has the step {recipe.step!r}, which trains, but its "
                f"parent {recipe.parent!r} is a graph with nothing to train (its step is "
                f"{recipes[recipe.parent].step!r}); take a parent that is a network"
            )
        seen = [name]
        while (above := recipes[seen[-1]].parent) in recipes:
            assert above is not None
            seen.append(above)
            if above in seen[:-1]:
                raise UserError(
                    f"config.yaml: {where}: the parents of {name!r} go round in a circle "
                    f"({' → '.join(seen)}); one of them must start from the baseline"
                )


def _check_architecture(
    recipes: Mapping[str, Recipe], experiment: dict[str, Any], name: str
) -> None:
    if experiment.setdefault("architecture", None) is None and any(
        recipe.makes == NETWORK for recipe in recipes.values()
    ):
        raise UserError(f"config.yaml: the key 'architecture' is missing at experiments.{name}")


def _in_order(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    ordered: dict[str, Recipe] = {}

    def place(name: str) -> None:
        parent = recipes[name].parent
        if parent is not None and parent not in ordered:
            place(parent)
        ordered.setdefault(name, recipes[name])

    for name in recipes:
        place(name)
    return ordered


def _check_twins(recipes: Mapping[str, Recipe], where: str) -> None:
    seen: list[Recipe] = []
    for recipe in recipes.values():
        for other in seen:
            same = (other.step, other.parent, other.makes) == (
                recipe.step,
                recipe.parent,
                recipe.makes,
            )
            if same and other.settings == recipe.settings:
                raise UserError(
                    f"config.yaml: {where}: {other.name!r} and {recipe.name!r} are the same "
                    "recipe; leave one out, or change a setting"
                )
        seen.append(recipe)
