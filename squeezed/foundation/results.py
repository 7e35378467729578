"""Result files: flat JSON metrics, what was measured and its provenance in fields of their own.

A result is one JSON object. Its own keys are exact: they reproduce byte for byte from the same
inputs on the same kind of machine. Two keys hold what does not: `measured` (times and memory, with
their units in the names) and `provenance` (versions, machine, settings, inputs, duration).
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from squeezed.foundation.files import atomic_path

INEXACT_FIELDS = ("measured", "provenance")


def write_result(
    path: str | Path,
    metrics: Mapping[str, Any],
    *,
    provenance: Mapping[str, Any],
    measured: Mapping[str, Any] | None = None,
) -> None:
    """Write one result file, whole or not at all.

    Args:
        path: the JSON file.
        metrics: exact scalars (or short lists of scalars), with units in the names.
        provenance: what `squeezed.foundation.provenance.Provenance.finish` returns.
        measured: times in `_ms` or `_s`, memory in `_mib`, ratios of times.

    Raises:
        ValueError: if a metric is NaN or infinite (use None where a figure does not exist), or
            is named like one of the two inexact fields.
    """
    clash = set(metrics) & set(INEXACT_FIELDS)
    if clash:
        raise ValueError(f"{sorted(clash)} are reserved names in a result")
    result = {**metrics, "measured": dict(measured or {}), "provenance": dict(provenance)}
    _refuse_not_finite(result, "")
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_result(path: str | Path) -> dict[str, Any]:
    """Read a result file as a dictionary, `measured` and `provenance` included."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def exact_part(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a result that must reproduce byte for byte."""
    return {key: value for key, value in result.items() if key not in INEXACT_FIELDS}


def _refuse_not_finite(value: Any, name: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name.lstrip('.')} is {value}; write None where a figure does not exist")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_not_finite(item, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_not_finite(item, f"{name}[{index}]")
