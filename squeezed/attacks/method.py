"""Attack methods by name: one module each, found when it is asked for.

A method `ddn` is the module `squeezed.attacks.ddn` with the function `ddn`, whose argument
`settings` is annotated with the frozen dataclass of the method's own settings:

    def ddn(
        victim: Victim,
        images: Tensor,
        labels: Tensor,
        settings: DDNSettings,
        *,
        targets: Tensor | None = None,
        judge: Judge | None = None,
    ) -> Attacked

Each is given: the victim, which gives logits and gradients; images, float32 (n, C, H, W), in
[0, 1]; their true classes, int64 (n,); its settings; for a targeted attack int64 (n,), a class for
each image to be taken for; and a judge, which maps any number of images to logits and decides what
fools (default: the victim in float32). Each raises a UserError if an image is outside [0, 1], a
label is no class, a target is no class or the true one, or a logit is NaN.

The settings' method `doubled` returns them with twice the steps, for the check of convergence. A
method whose settings have `transferred` true is given `starts` besides, what fools the baseline. So
another attack touches its module, the schema and a test. Loads no torch and no method by itself:
what a job depends on is the method that it names (`module_of`).
"""

import importlib
import pkgutil
import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from squeezed.foundation.errors import UserError
from squeezed.foundation.settings import read_settings

if typing.TYPE_CHECKING:
    from squeezed.attacks.attacked import Attacked

ROOM = "squeezed.attacks"


def module_of(name: str) -> str:
    """Return the name of the module that holds a method, for the digest of a job's code."""
    return f"{ROOM}.{name}"


def load_method(name: str) -> "Callable[..., Attacked]":
    """Import a method and return its function.

    Raises:
        UserError: if there is no such method.
    """
    room = importlib.import_module(ROOM)
    modules = {module.name for module in pkgutil.iter_modules(room.__path__)}
    method = None
    if name in modules:
        method = getattr(importlib.import_module(module_of(name)), name, None)
    if method is None or not hasattr(method, "__annotations__"):
        raise UserError(
            f"there is no attack method {name!r}; the schema names those that there are"
        )
    return typing.cast("Callable[..., Attacked]", method)


def check_ranges(
    settings: Any,
    *,
    at_least: Mapping[str, float] = MappingProxyType({}),
    above: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Refuse a method's settings that mean nothing, by the bounds of those that have one.

    Raises:
        UserError: if one is below its bound in `at_least`, or not above that in `above`.
    """
    for name, least in at_least.items():
        if getattr(settings, name) < least:
            raise UserError(
                f"the attack's {name} is {getattr(settings, name)}; it must be ≥ {least}"
            )
    for name, bound in above.items():
        if not getattr(settings, name) > bound:
            raise UserError(
                f"the attack's {name} is {getattr(settings, name)}; it must be > {bound}"
            )


def read_method_settings(name: str, section: Mapping[str, Any]) -> Any:
    """Return a method's own settings as its dataclass, from exactly its keys.

    Raises:
        UserError: if there is no such method, or a key is missing, unknown or of another type.
    """
    return read_settings(typing.get_type_hints(load_method(name))["settings"], section)
