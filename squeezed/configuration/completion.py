"""The configuration: checked against its schema, with defaults filled in.

Loads no torch: the workflow reads the configuration while it builds the graph.
"""

import contextlib
import copy
import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from squeezed.configuration.consistency import check_augmentation, check_dataset, check_masks
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


# What others call the things that have another name here.
SYNONYMS = {
    **dict.fromkeys(("gpu", "nvidia", "cuda:0", "rocm"), "cuda"),
    **dict.fromkeys(("processor", "none"), "cpu"),
    "bfloat16": "bf16",
    **dict.fromkeys(("float32", "float", "full"), "fp32"),
}

QUICK, STANDARD, THOROUGH = EFFORTS = ("quick", "standard", "thorough")
"""How much work the analyses are. A default that is a mapping of these words is one for each."""

LARGEST_INTEGER = 2**31 - 1
"""Where the schema sets no other bound: what every library takes."""


def _is_number(checker: jsonschema.TypeChecker, value: Any) -> bool:
    # Infinity and not-a-number pass every comparison with a bound, or fail it silently.
    if not jsonschema.Draft202012Validator.TYPE_CHECKER.is_type(value, "number"):
        return False
    return isinstance(value, int) or math.isfinite(value)


def _matches(
    validator: Any, pattern: str, instance: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    # Python's `$` lets a line end follow, of which no name has one.
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    validators={"pattern": _matches},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number),
)


def load_schema(path: str | Path) -> dict[str, Any]:
    """Read the schema (JSON Schema, draft 2020-12, in YAML).

    Whole numbers to which it sets no upper bound get `LARGEST_INTEGER` for one.
    """
    text = Path(path).read_text(encoding="utf-8")
    # libyaml's loader, where PyYAML has it, takes a tenth of the time: each plan waits for it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    schema: dict[str, Any] = yaml.load(text, loader)
    _bound_integers(schema)
    return schema


def _bound_integers(schema: Any) -> None:
    if isinstance(schema, dict):
        if "integer" in _types(schema):
            schema.setdefault("maximum", LARGEST_INTEGER)
        for below in schema.values():
            _bound_integers(below)
    elif isinstance(schema, list):
        for below in schema:
            _bound_integers(below)


def complete_configuration(
    configuration: Mapping[str, Any], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Check a configuration and return a copy with the schema's defaults filled in.

    Numbers that arrive as texts are read as numbers where the schema wants one: YAML takes `1e-4`
    for a text, DVC writes small numbers like that, and Snakemake's `--config a.b=5` gives texts.
    Whole numbers may be written as 3.0 or 1e3, names and texts as whole numbers.

    A default that the schema writes for each of `EFFORTS` is that of the experiment's `effort`; one
    given for the whole run stands in its place.

    Args:
        configuration: what `config.yaml` holds.
        schema: what `config.schema.yaml` holds.

    Raises:
        UserError: for the first thing that is wrong, in one sentence that names the key and the
            allowed values.
    """
    completed = _with_names(configuration, "the top level")
    _complete(completed, schema, schema, None)
    problems = _Validator(schema).iter_errors(completed)
    # The outermost first: a misspelt key, then what is missing because it was misspelt.
    first = min(problems, key=_urgency, default=None)
    if first is not None:
        raise UserError(_sentence(first))
    for name, experiment in completed["experiments"].items():
        _complete_changes(name, experiment, schema)
    _check_names(completed["run"], "run", "experiment", completed["experiments"])
    for name, experiment in completed["experiments"].items():
        where = f"experiments.{name}.dataset"
        _check_names([experiment["dataset"]], where, "data set", completed["datasets"])
        unfamiliar = experiment["unfamiliar"]["dataset"]
        if unfamiliar is not None:
            where = f"experiments.{name}.unfamiliar.dataset"
            _check_names([unfamiliar], where, "data set", completed["datasets"])
    for name, dataset in completed["datasets"].items():
        check_dataset(name, dataset)
    for name, experiment in completed["experiments"].items():
        check_augmentation(name, experiment, completed["datasets"][experiment["dataset"]])
        check_masks(name, experiment)
    return completed


def complete_section(
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    section: Mapping[str, Any],
    where: str,
    schema: Mapping[str, Any],
    effort: str = STANDARD,
) -> dict[str, Any]:
    """Lay settings over a section, key by key, fill in the schema's defaults and check them.

    Args:
        given: what stands at `where`, any part of the section's keys.
        defaults: what they are laid over.
        section: the section's own part of the schema.
        where: the place of `given`, for messages.
        schema: the configuration's.
        effort: one of `EFFORTS`, for defaults that differ by it.

    Raises:
        UserError: for the first thing that is wrong.
    """
    subschema = _resolve(section, schema)
    completed = _laid_over(defaults, given)
    _complete(completed, subschema, schema, effort)
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


def _complete_changes(name: str, experiment: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Read and check the values that variations give to an attack's keys, in place.

    They have no defaults: what a variation does not name is the attack's own.
    """
    section = experiment["attack_variations"]
    attack = experiment["attacks"].get(section["attack"], {})
    keys = _meant(attack, schema["$defs"]["attack"], schema)["properties"]
    for variation, change in section["changes"].items():
        place = ["experiments", name, "attack_variations", "changes", variation]
        for key in change:
            if attack and key not in keys:
                raise UserError(
                    f"config.yaml: {'.'.join(place)} has the key {key!r}, which an attack of "
                    f"method {attack['method']} has not; {choices(key, keys)}"
                )
            subschema = keys.get(key, {})
            change[key] = _as_number(change[key], subschema)
            for problem in _Validator(subschema).iter_errors(change[key]):
                problem.path.extendleft(reversed([*place, key]))
                raise UserError(_sentence(problem))


def _with_names(value: Any, where: str) -> Any:
    """Return a copy in which all keys are texts, and no text holds what no path may hold.

    Raises:
        UserError: if a key is neither a text nor a whole number, or there twice by that.
    """
    if isinstance(value, Mapping):
        copied: dict[str, Any] = {}
        for key, below in value.items():
            is_integer = isinstance(key, int) and not isinstance(key, bool)
            if not (isinstance(key, str) or is_integer):
                raise UserError(
                    f"config.yaml: the key {key!r} at {where} is no text: write it in quotes"
                )
            if str(key) in copied:
                raise UserError(f"config.yaml: the key {key!r} is there twice at {where}")
            inner = str(key) if where == "the top level" else f"{where}.{key}"
            copied[str(key)] = _with_names(below, inner)
        return copied
    if isinstance(value, (list, tuple)):
        return [_with_names(below, f"{where}.{index}") for index, below in enumerate(value)]
    if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        raise UserError(
            f"config.yaml: {where} holds a zero byte or half a character (\\ud800 to \\udfff), "
            "which no text may"
        )
    return copy.deepcopy(value)


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


def default_of(schema: Mapping[str, Any], effort: str | None) -> Any:
    """Return a copy of a key's default; of one written for each effort, this effort's."""
    default = schema["default"]
    if isinstance(default, Mapping) and set(default) == set(EFFORTS):
        # What is no effort is complained of afterwards, with all else that the schema forbids.
        default = default[effort if effort in EFFORTS else STANDARD]
    return copy.deepcopy(default)


def _complete(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], effort: str | None
) -> None:
    """Fill in the defaults of a section and of all below it, and read its numbers, in place.

    An effort that stands above holds for all below, whatever these say.
    """
    schema = _meant(value, _resolve(schema, root), root)
    if isinstance(value, list):
        for index, item in enumerate(value):
            subschema = _resolve(schema.get("items", {}), root)
            value[index] = _as_number(item, subschema)
            _complete(value[index], subschema, root, effort)
    if not isinstance(value, dict):
        return
    properties = schema.get("properties", {})
    other = schema.get("additionalProperties")
    if "effort" in properties:
        if effort is not None:
            value["effort"] = effort
        effort = value.setdefault("effort", properties["effort"]["default"])
    for key, subschema in properties.items():
        resolved = _resolve(subschema, root)
        if key not in value and "default" in resolved:
            value[key] = default_of(resolved, effort)
    for key in value:
        subschema = properties.get(key, other)
        if isinstance(subschema, Mapping):
            value[key] = _as_number(value[key], _resolve(subschema, root))
            _complete(value[key], subschema, root, effort)


def _meant(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the alternative of `oneOf` that a section means, by its key with a fixed value.

    A section without that key means the first alternative, and so does one with an unknown value.
    """
    alternatives = [_resolve(alternative, root) for alternative in schema.get("oneOf", [])]
    if not alternatives or not isinstance(value, dict):
        return schema
    for alternative in alternatives:
        for key, subschema in alternative.get("properties", {}).items():
            if "const" in subschema and value.get(key) == subschema["const"]:
                return alternative
    return alternatives[0]


def _as_number(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value as the schema wants it, where there is one way to read it only."""
    types = _types(schema)
    if isinstance(value, str):
        if "integer" in types:
            with contextlib.suppress(ValueError):
                return int(value)
        if "integer" in types or "number" in types:
            with contextlib.suppress(ValueError, OverflowError):
                number = float(value)
                return _as_number(number, schema)
    if isinstance(value, int) and types == ["number"] and abs(value) > 2**1023:
        return math.inf
    if isinstance(value, float) and "integer" in types and "number" not in types:
        return int(value) if value.is_integer() else value
    if isinstance(value, int) and not isinstance(value, bool) and set(types) <= {"string", "null"}:
        return str(value) if types else value
    return value


def _types(schema: Mapping[str, Any]) -> list[str]:
    found = schema.get("type", [])
    # A key named `type` among properties is a schema of its own.
    return [found] if isinstance(found, str) else list(found) if isinstance(found, list) else []


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
            wanted = _types(schema)
            quotes = (
                ": write it in quotes" if "string" in wanted and isinstance(value, bool) else ""
            )
            return f"{says} {' or '.join(TYPE_NAMES[name] for name in wanted)}{quotes}"
        case "maxLength":
            return f"{says} at most {expected} characters long"
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
            return f"config.yaml: the name {value!r} at {where} must be {_name_of(str(expected))}"
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


def _name_of(pattern: str) -> str:
    """Say in words what a pattern of names wants."""
    reserved = re.search(r"\(\?!(.*?)\)", pattern)
    words = (reserved[1] if reserved else "").replace("$", "").split("|")
    but = f", other than {' and '.join(words)}" if reserved else ""
    if "A-Z" not in pattern:
        return f"of lower case letters, digits and '_'{but}"
    return f"of letters, digits, '_' and '-'{' (not first)' if '-]*' in pattern else ''}{but}"


def choices(given: Any, allowed: Iterable[Any]) -> str:
    """Say what one may choose from, and what seems to have been meant."""
    names = [str(name) for name in allowed]
    synonym = SYNONYMS.get(str(given).lower())
    near = [synonym] if synonym in names else difflib.get_close_matches(str(given), names, 1)
    hint = f"did you mean {near[0]!r}? Choose" if near else "choose"
    return f"{hint} from {', '.join(names)}" if names else "no key is allowed there"
