"""Long lists of architectures, tools and values: a few of each in `make test-slow`, all the rest
in `make test-matrix`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest


def matrix(rows: Mapping[str, Any] | Iterable[Any], *representatives: Any) -> list[Any]:
    """Return the rows as parameters: the representatives are marked slow, the others matrix.

    Args:
        rows: names, each one parameter, or a mapping of each to its further parameters.
        representatives: of the names, those that stand for all of them where time is short.
    """
    names = list(rows)
    assert all(name in names for name in representatives)
    marks = [pytest.mark.slow if name in representatives else pytest.mark.matrix for name in names]
    further = [rows[name] for name in names] if isinstance(rows, Mapping) else [()] * len(names)
    values = [each if isinstance(each, tuple) else (each,) for each in further]
    return [
        pytest.param(name, *more, id=_id(name), marks=mark)
        for name, more, mark in zip(names, values, marks, strict=True)
    ]


def _id(name: Any) -> str:
    return name if isinstance(name, str) and name.isidentifier() else repr(name)
