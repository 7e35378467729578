"""Which variants and attacks of an experiment are the paper's: by their recipes, not their names.

Loads no library: the workflow asks while it builds the graph.
"""

from collections.abc import Mapping
from typing import Any

from squeezed.configuration.recipes import Recipe, recipes_of
from squeezed.reporting.blocks import Block

BASELINE = "baseline"
PRUNED, QUANTIZED, ABLATED = "pruned", "quantized", "ablated"
PRUNED_QUANTIZED = "pruned_quantized"
LINEAR_QUANTIZED = "linear_quantized"
"""Ours: 8 bits in the fully connected layers alone, as the paper's file sizes imply."""
PAPERS = (BASELINE, PRUNED, QUANTIZED, ABLATED, PRUNED_QUANTIZED)

RECIPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    PRUNED: (
        "prune",
        BASELINE,
        {"remove": False, "granularity": "slice", "ranking": "layer"},
    ),
    QUANTIZED: (
        "quantize",
        BASELINE,
        {"scheme": "static", "layers": "all", "granularity": "tensor"},
    ),
    ABLATED: ("ablate", BASELINE, {}),
    PRUNED_QUANTIZED: (
        "quantize",
        PRUNED,
        {"scheme": "static", "layers": "all", "granularity": "tensor"},
    ),
    LINEAR_QUANTIZED: ("quantize", BASELINE, {"scheme": "dynamic", "layers": "linear"}),
}
"""By role: the step, the parent's role, and the settings that it must have."""

PRUNED_SHARE = {"svhn": 0.4, "cifar10": 0.2, "imagenet": 0.2}
"""Section IV-B1; 20 % where the paper has not the data set."""

PROTOCOL = {"iterations": 40, "learning_rate": 0.5e-4, "constant": 1.0, "search_steps": 1}
"""Section IV-D, in our reading of what it leaves open (docs/attack.md)."""
CLAIMS = Block(
    "claims",
    "tables",
    "The paper's claims",
    "Each conclusion of the paper, its figure, ours with its 95 % interval, and the verdict of a "
    "rule that is code, corrected for the number of claims (Holm). *Undecided* says what it would "
    "take.",
)
"""The lens's own block: a table of each experiment that repeats the study."""

NAMED_PROTOCOLS = {True: "paper", False: "paper_arrangement"}
"""What the attack is called where its settings are not known, by `straight_through`."""


def roles_of(settings: Mapping[str, Any], found: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the variant in each of the paper's roles, and in ours.

    Of several that fit a role it is the one with the paper's share of pruned weights, then the
    first one configured.

    Args:
        settings: the experiment's section of the configuration.
        found: the variants that there are; where recipes are not known, a role is one's name.
    """
    if "variants" not in settings:
        return {role: role for role in (*PAPERS, LINEAR_QUANTIZED) if role in found}
    recipes = recipes_of(settings)
    share = PRUNED_SHARE.get(dataset_of("", str(settings.get("dataset"))) or "", 0.2)
    roles = {BASELINE: BASELINE}
    for role, (step, parent, wanted) in RECIPES.items():
        fitting = [
            recipe
            for recipe in recipes.values()
            if recipe.step == step
            and recipe.parent == roles.get(parent, "")
            and all(recipe.settings.get(key) == value for key, value in wanted.items())
        ]
        if fitting:
            roles[role] = min(fitting, key=lambda recipe: _strays(recipe, role, share)).name
    return roles


def _strays(recipe: Recipe, role: str, share: float) -> bool:
    return role == PRUNED and recipe.settings.get("amount") != share


def is_study(settings: Mapping[str, Any], roles: Mapping[str, str]) -> bool:
    """Return whether an experiment repeats the study: it asks to, and both methods are there.

    The schema's default recipes are the study's, so that the recipes alone do not tell what
    somebody wants to know of a model of their own. Where settings are not known, they do.
    """
    asked = bool(settings.get("study", "variants" not in settings))
    return asked and PRUNED in roles and QUANTIZED in roles


def blocks_of(settings: Mapping[str, Any]) -> list[Block]:
    """Return the blocks that the lens adds to an experiment, from its section."""
    return [CLAIMS] if is_study(settings, roles_of(settings)) else []


def dataset_of(experiment: str, dataset: str) -> str | None:
    """Return the paper's data set that an experiment repeats; None for digits and others."""
    for name in (dataset, experiment):
        for known in PRUNED_SHARE:
            if name == known or name.startswith(f"{known}_"):
                return known
    return None


def protocol_of(
    attacks: Mapping[str, Mapping[str, Any]], *, straight_through: bool = True
) -> str | None:
    """Return the results of the attack with the paper's settings, or None.

    Args:
        attacks: the attacks and their settings, which are empty where they are not known.
        straight_through: False for the one that takes the gradient as a dynamically quantized
            PyTorch model hands it back.
    """
    wanted = PROTOCOL | {"straight_through": straight_through}
    for name, settings in attacks.items():
        fits = all(settings.get(key) == value for key, value in wanted.items())
        if fits if settings else name == NAMED_PROTOCOLS[straight_through]:
            return f"attack_{name}"
    return None
