"""From a recipe to the step's function, found by its name when it is needed.

So a job depends on its own step alone, and a step of the user's is one like any other.
"""

import dataclasses
import importlib
import typing
from collections.abc import Callable
from typing import Any

from squeezed.configuration.recipes import Recipe
from squeezed.foundation.errors import UserError, first_line
from squeezed.foundation.exhaustion import exhausted
from squeezed.foundation.settings import read_settings


def step_of(recipe: Recipe) -> tuple[Callable[..., Any], Any]:
    """Return a recipe's function and its settings, as the function's annotation wants them.

    Raises:
        UserError: if a step of the user's cannot be imported, or its settings do not fit.
    """
    module_name, _, name = recipe.entry.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        if exhausted(error):
            raise
        raise UserError(
            f"the step {recipe.step!r} of variant {recipe.name!r} cannot be imported "
            f"({first_line(error)}); its module belongs into own_steps/ (docs/own_step.md)"
        ) from error
    kind = typing.get_type_hints(function).get("settings")
    if not dataclasses.is_dataclass(kind):
        return function, dict(recipe.settings)
    try:
        return function, read_settings(typing.cast(type, kind), recipe.settings)
    except ValueError as error:
        raise UserError(f"the settings of variant {recipe.name!r}: {error}") from error
