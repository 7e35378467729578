"""The configuration: checked against its schema, with defaults filled in.

Loads no torch: the workflow reads the configuration while it builds the graph.
"""

import copy
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from squeezed.errors import UserError


def load_schema(path: str | Path) -> dict[str, Any]:
    """Read the schema (JSON Schema, draft 2020-12, in YAML)."""
    return yaml.safe_load(Path(path).read_text())


def complete_configuration(
    configuration: Mapping[str, Any], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Check a configuration and return a copy with the schema's defaults filled in.

    Args:
        configuration: what `config.yaml` holds.
        schema: what `config.schema.yaml` holds.

    Raises:
        UserError: for the first thing that is wrong, in one sentence that names the key and the
            allowed values.
    """
    completed = copy.deepcopy(dict(configuration))
    _fill_defaults(completed, schema, schema)
    validator = jsonschema.Draft202012Validator(schema)
    problems = sorted(validator.iter_errors(completed), key=lambda error: list(error.path))
    if problems:
        raise UserError(_sentence(problems[0]))
    for name in completed["run"]:
        if name not in completed["experiments"]:
            raise UserError(
                f"config.yaml: run names an unknown experiment {name!r}; "
                f"choose from {_listed(completed['experiments'])}"
            )
    for name, experiment in completed["experiments"].items():
        if experiment["dataset"] not in completed["datasets"]:
            raise UserError(
                f"config.yaml: experiments.{name}.dataset names an unknown data set "
                f"{experiment['dataset']!r}; choose from {_listed(completed['datasets'])}"
            )
    return completed


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    # Keys beside a $ref (a description, a default) win over what it names.
    return {**_resolve(found, root), **{k: v for k, v in schema.items() if k != "$ref"}}


def _fill_defaults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    schema = _resolve(schema, root)
    if not isinstance(value, dict):
        return
    for key, subschema in schema.get("properties", {}).items():
        resolved = _resolve(subschema, root)
        if key not in value and "default" in resolved:
            value[key] = copy.deepcopy(resolved["default"])
        if key in value:
            _fill_defaults(value[key], resolved, root)
    other = schema.get("additionalProperties")
    if isinstance(other, Mapping):
        for key in set(value) - set(schema.get("properties", {})):
            _fill_defaults(value[key], other, root)


def _sentence(error: jsonschema.ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "the top level"
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        allowed = list(schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in allowed)  # type: ignore[union-attr]
        near = difflib.get_close_matches(str(unknown), allowed, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"config.yaml: unknown key {unknown!r} at {where}: {hint}Allowed: {_listed(allowed)}"
    if error.validator == "enum":
        return f"config.yaml: {where} is {error.instance!r}; choose from {_listed(schema['enum'])}"
    if error.validator == "type":
        expected = schema["type"]
        expected = expected if isinstance(expected, str) else " or ".join(expected)
        return f"config.yaml: {where} is {error.instance!r}, but must be of type {expected}"
    return f"config.yaml: {where}: {error.message}"


def _listed(names: Any) -> str:
    return ", ".join(_names(names))


def _names(names: Any) -> Iterator[str]:
    return (str(name) for name in names)
