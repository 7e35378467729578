"""The configuration: checked against its schema, with defaults filled in.

Loads no torch: the workflow reads the configuration while it builds the graph.
"""

import contextlib
import copy
import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from squeezed.foundation.errors import UserError

# How a sentence names the types of JSON Schema.
TYPE_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "empty",
    "number": "a number",
    "object": "a section of keys and values",
    "string": "a text",
}


def _is_number(checker: jsonschema.TypeChecker, value: Any) -> bool:
    # Infinity and not-a-number pass every comparison with a bound, or fail it silently.
    return jsonschema.Draft202012Validator.TYPE_CHECKER.is_type(value, "number") and math.isfinite(
        value
    )


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number),
)


def load_schema(path: str | Path) -> dict[str, Any]:
    """Read the schema (JSON Schema, draft 2020-12, in YAML)."""
    return yaml.safe_load(Path(path).read_text())


def complete_configuration(
    configuration: Mapping[str, Any], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Check a configuration and return a copy with the schema's defaults filled in.

    Numbers that arrive as texts are read as numbers where the schema wants one: YAML takes `1e-4`
    for a text, DVC writes small numbers like that, and Snakemake's `--config a.b=5` gives texts.

    Args:
        configuration: what `config.yaml` holds.
        schema: what `config.schema.yaml` holds.

    Raises:
        UserError: for the first thing that is wrong, in one sentence that names the key and the
            allowed values.
    """
    completed = copy.deepcopy(dict(configuration))
    _complete(completed, schema, schema)
    problems = _Validator(schema).iter_errors(completed)
    # The outermost first: a misspelt key, then what is missing because it was misspelt.
    first = min(problems, key=_urgency, default=None)
    if first is not None:
        raise UserError(_sentence(first))
    _check_names(completed["run"], "run", "experiment", completed["experiments"])
    for name, experiment in completed["experiments"].items():
        where = f"experiments.{name}.dataset"
        _check_names([experiment["dataset"]], where, "data set", completed["datasets"])
        unfamiliar = experiment["unfamiliar"]["dataset"]
        if unfamiliar is not None:
            where = f"experiments.{name}.unfamiliar.dataset"
            _check_names([unfamiliar], where, "data set", completed["datasets"])
    return completed


def complete_section(
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    section: Mapping[str, Any],
    where: str,
    schema: Mapping[str, Any],
) -> dict[str, Any]:
    """Lay settings over a section, key by key, fill in the schema's defaults and check them.

    Args:
        given: what stands at `where`, any part of the section's keys.
        defaults: what they are laid over.
        section: the section's own part of the schema.
        where: the place of `given`, for messages.
        schema: the configuration's.

    Raises:
        UserError: for the first thing that is wrong.
    """
    subschema = _resolve(section, schema)
    completed = _laid_over(defaults, given)
    _complete(completed, subschema, schema)
    validator = _Validator(schema).evolve(schema={**subschema, "$defs": schema["$defs"]})
    first = min(validator.iter_errors(completed), key=_urgency, default=None)
    if first is not None:
        raise UserError(_sentence(first, where))
    return completed


def _laid_over(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    laid = copy.deepcopy(dict(defaults))
    for key, value in given.items():
        nested = isinstance(value, Mapping) and isinstance(laid.get(key), Mapping)
        laid[key] = _laid_over(laid[key], value) if nested else copy.deepcopy(value)
    return laid


def _check_names(names: Iterable[str], where: str, what: str, sections: Mapping[str, Any]) -> None:
    for name in names:
        if name not in sections:
            raise UserError(
                f"config.yaml: {where} names an unknown {what} {name!r}; {choices(name, sections)}"
            )


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    # Keys beside a $ref (a description, a default) win over what it names.
    return {**_resolve(found, root), **{k: v for k, v in schema.items() if k != "$ref"}}


def _complete(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    """Fill in the defaults of a section and of all below it, and read its numbers, in place."""
    schema = _resolve(schema, root)
    if isinstance(value, list):
        for index, item in enumerate(value):
            subschema = _resolve(schema.get("items", {}), root)
            value[index] = _as_number(item, subschema)
            _complete(value[index], subschema, root)
    if not isinstance(value, dict):
        return
    properties = schema.get("properties", {})
    other = schema.get("additionalProperties")
    for key, subschema in properties.items():
        resolved = _resolve(subschema, root)
        if key not in value and "default" in resolved:
            value[key] = copy.deepcopy(resolved["default"])
    for key in value:
        subschema = properties.get(key, other)
        if isinstance(subschema, Mapping):
            value[key] = _as_number(value[key], _resolve(subschema, root))
            _complete(value[key], subschema, root)


def _as_number(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        types = _types(schema)
        for name, read in (("integer", int), ("number", float)):
            if name in types:
                with contextlib.suppress(ValueError):
                    return read(value)
    return value


def _types(schema: Mapping[str, Any]) -> list[str]:
    found = schema.get("type", [])
    return [found] if isinstance(found, str) else list(found)


def _urgency(error: jsonschema.ValidationError) -> tuple[int, bool, str]:
    return len(error.absolute_path), error.validator != "additionalProperties", error.json_path


def _sentence(error: jsonschema.ValidationError, above: str = "") -> str:
    """Say in one sentence what is wrong, where (below the place `above`), and what is allowed."""
    if error.validator in ("anyOf", "oneOf") and error.context:
        return _sentence(_likeliest(error), above)
    path = [above, *map(str, error.absolute_path)]
    where = ".".join(filter(None, path)) or "the top level"
    value: Any = error.instance
    expected: Any = error.validator_value
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    says = f"config.yaml: {where} is {value!r}, but must be"
    match error.validator:
        case "additionalProperties":
            allowed = list(schema.get("properties", {}))
            unknown = next(key for key in value if key not in allowed)
            return f"config.yaml: unknown key {unknown!r} at {where}; {choices(unknown, allowed)}"
        case "required":
            missing = next(key for key in expected if key not in value)
            return f"config.yaml: the key {missing!r} is missing at {where}"
        case "enum" | "const":
            allowed = expected if error.validator == "enum" else [expected]
            return f"config.yaml: {where} is {value!r}; {choices(value, allowed)}"
        case "type":
            if value is None:
                says = f"config.yaml: {where} is empty, but must be"
            return f"{says} {' or '.join(TYPE_NAMES[name] for name in _types(schema))}"
        case "minimum" | "minItems" | "maximum" | "maxItems":
            bound = "at least" if error.validator.startswith("min") else "at most"
            items = " long" if error.validator.endswith("Items") else ""
            return f"{says} {bound} {expected}{items}"
        case "exclusiveMinimum" | "exclusiveMaximum":
            bound = "more" if error.validator == "exclusiveMinimum" else "less"
            return f"{says} {bound} than {expected}"
        case "uniqueItems":
            return f"config.yaml: {where} is {value!r}, which names something twice"
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            return f"{says} a name of letters, digits, '_' and '-'"
        case "pattern":  # of a text; other types may be allowed beside it
            others = [TYPE_NAMES[name] for name in _types(schema) if name != "string"]
            return f"{says} {' or '.join([*others, str(expected).strip('^$')])}"
        case _:
            return f"config.yaml: {where}: {error.message}"


def _likeliest(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Return what is wrong under the alternative that the user seems to have meant.

    Alternatives are told apart by a key with a fixed value (`kind: folder`); where none has the
    value given, the first alternative's complaint is about that key, with all values allowed.
    """
    alternatives: dict[Any, list[jsonschema.ValidationError]] = {}
    for problem in error.context or []:
        alternatives.setdefault(problem.schema_path[0], []).append(problem)
    choosing = [
        next((p for p in problems if p.validator in ("const", "enum")), None)
        for problems in alternatives.values()
    ]
    for problems, choice in zip(alternatives.values(), choosing, strict=True):
        if choice is None:
            return min(problems, key=_urgency)
    first = next(choice for choice in choosing if choice is not None)
    values: list[Any] = []
    for choice in choosing:
        if choice is not None:
            found: Any = choice.validator_value
            values += found if choice.validator == "enum" else [found]
    first.validator, first.validator_value = "enum", values
    return first


def choices(given: Any, allowed: Iterable[Any]) -> str:
    """Return what to choose from, and what was probably meant: the end of a sentence."""
    names = [str(name) for name in allowed]
    near = difflib.get_close_matches(str(given), names, 1)
    hint = f"did you mean {near[0]!r}? Choose" if near else "choose"
    return f"{hint} from {', '.join(names)}" if names else "no key is allowed there"
