"""The whole configuration: complete, checked, and every experiment's recipes in order.

Loads no torch: the workflow reads the configuration while it builds the graph.
"""

from collections.abc import Callable, Mapping
from typing import Any

from squeezed.configuration.completion import complete_configuration
from squeezed.configuration.recipes import (
    BASELINE,
    complete_variants,
    recipes_of,
    rewritten_list,
)
from squeezed.foundation.errors import UserError
from squeezed.foundation.source_stamp import own_weights

ASSUMED = {"fully_connected": 1, "convolution": 1}
"""What an architecture has that nobody runs: asking takes seconds."""


def read_configuration(
    configuration: Mapping[str, Any],
    schema: Mapping[str, Any],
    facts_of: Callable[[Mapping[str, Any]], Mapping[str, int]],
) -> dict[str, Any]:
    """Return a complete copy of a configuration.

    Args:
        configuration: what `config.yaml` holds.
        schema: what `config.schema.yaml` holds.
        facts_of: returns of an `architecture` section how many layers of each kind it has
            (`squeezed.configuration.architectures`); asked for the experiments that are run.

    Returns:
        The configuration with the schema's defaults filled in. `variants` of each experiment are
        complete recipes (`squeezed.configuration.recipes`), and wherever variants are chosen stand
        their names.

    Raises:
        UserError: for the first thing that is wrong, in one sentence that names the key and what
            is allowed.
    """
    defaults = schema["$defs"]["experiment"]["properties"]["variants"]["default"]
    _refuse_lists_of_variants(configuration, defaults)
    configuration = _with_weights_as_they_are(configuration)
    # Which defaults apply depends on the baseline: they are laid under what was written afterwards.
    completed = complete_configuration(configuration, _without_default_variants(schema))
    for name, experiment in completed["experiments"].items():
        run = name in completed["run"]
        architecture = experiment.get("architecture")
        facts = facts_of(architecture) if run and architecture else ASSUMED
        complete_variants(experiment, name, schema, defaults, facts)
        for recipe in recipes_of(experiment).values() if run else ():
            other = recipe.settings.get("architecture") if recipe.step == "distil" else None
            if other is not None:
                facts_of(other)  # refuses what there is not
    return completed


def _refuse_lists_of_variants(
    configuration: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    """Refuse the list form of the first version with the mapping that says the same."""
    experiments = configuration.get("experiments")
    for name, experiment in experiments.items() if isinstance(experiments, Mapping) else ():
        variants = experiment.get("variants") if isinstance(experiment, Mapping) else None
        if isinstance(variants, list):
            raise UserError(
                f"config.yaml: experiments.{name}.variants is a list, but variants are recipes by "
                f"name now; write instead `{rewritten_list(variants, defaults)}`"
            )


def _with_weights_as_they_are(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a configuration without training where there are weights and nobody asks for it.

    Weights of the user's own are taken as they are, unless `training` or a recipe of the baseline
    says how to go on from them. torchvision's have another last layer, and are trained on.
    """
    experiments = configuration.get("experiments")
    if not isinstance(experiments, Mapping):
        return configuration
    untrained = {
        name: {**experiment, "training": {"epochs": 0}}
        for name, experiment in experiments.items()
        if isinstance(experiment, Mapping)
        and isinstance(experiment.get("architecture"), Mapping)
        and own_weights(experiment["architecture"].get("weights"))
        and not experiment.get("training")
        and not _has_recipe_of_the_baseline(experiment.get("variants"))
    }
    return {**configuration, "experiments": {**experiments, **untrained}}


def _has_recipe_of_the_baseline(variants: Any) -> bool:
    return isinstance(variants, Mapping) and bool(variants.get(BASELINE))


def _without_default_variants(schema: Mapping[str, Any]) -> dict[str, Any]:
    experiment = schema["$defs"]["experiment"]
    properties = experiment["properties"]
    emptied = {**properties, "variants": {**properties["variants"], "default": {}}}
    parts = {**schema["$defs"], "experiment": {**experiment, "properties": emptied}}
    return {**schema, "$defs": parts}
