"""Sections of the configuration as frozen dataclasses, so that the code says `section.amount`.

The schema checks what a user writes, and is the only place of defaults: here a section is complete,
and what does not fit is a mistake in the code or in a damaged file.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

Settings = TypeVar("Settings")


def read_settings(cls: type[Settings], mapping: Mapping[str, Any]) -> Settings:
    """Build a dataclass from a complete mapping.

    Fields may be numbers, text, booleans, None, literals, lists, tuples, dictionaries, unions of
    these, and dataclasses again. A whole number stands for a float, too.

    Args:
        cls: the dataclass.
        mapping: a value for each of its fields, and nothing else.

    Raises:
        ValueError: if a key lacks or is unknown, or a value is not of its field's type.
    """
    value: Settings = _read(cls, mapping, cls.__name__)
    return value


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        return _read_any_of(arguments, value, where)
    if origin is typing.Literal:
        if value in arguments:
            return value
    elif origin is list and isinstance(value, list | tuple):
        return [_read(arguments[0], item, f"{where}[{k}]") for k, item in enumerate(value)]
    elif origin is tuple and isinstance(value, list | tuple):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(
                _read(each, item, f"{where}[{k}]")
                for k, (each, item) in enumerate(zip(kinds, value, strict=True))
            )
    elif origin is dict and isinstance(value, Mapping):
        return {
            _read(arguments[0], key, where): _read(arguments[1], item, f"{where}.{key}")
            for key, item in value.items()
        }
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif (
        kind in (int, str, bool, types.NoneType)
        and isinstance(value, kind)
        and not (kind is int and isinstance(value, bool))
    ):
        return value
    name = kind.__name__ if isinstance(kind, type) and origin is None else kind
    raise ValueError(f"{where} is {value!r}, not of type {name}")


def _read_fields(cls: Any, value: Any, where: str) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is {value!r}, not a mapping")
    kinds = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    lacking, unknown = sorted(set(names) - set(value)), sorted(set(value) - set(names))
    if lacking or unknown:
        raise ValueError(f"{where}: lacking keys {lacking}, unknown keys {unknown}")
    return cls(**{name: _read(kinds[name], value[name], f"{where}.{name}") for name in names})


def _read_any_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    # Exact types first, so that 1 in `float | int` stays an integer.
    for kind in sorted(kinds, key=lambda each: type(value) is not each):
        try:
            return _read(kind, value, where)
        except ValueError as error:
            reason = error
    if len(kinds) == 2 and types.NoneType in kinds:
        raise reason
    raise ValueError(f"{where} is {value!r}, of none of the types {kinds}")
