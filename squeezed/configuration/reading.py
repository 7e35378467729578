"""The text of a configuration file: what YAML would take otherwise than its author, line by line.

YAML lets the second of two equal keys win without a word, and takes `on` for true, `010` for 8 and
`1:30` for 90. Nothing of that can be seen once the file has been read.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from squeezed.foundation.errors import UserError, first_line

# Tags of plain words that are no texts, by what YAML makes of them.
_READ_AS = {
    "tag:yaml.org,2002:bool": "true or false",
    "tag:yaml.org,2002:null": "empty",
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:float": "a number",
}
_INTEGER = "tag:yaml.org,2002:int"
_PLAIN_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")


def check_file(path: Path) -> None:
    """Refuse a file that says a thing twice, or that YAML does not take as it is written.

    Raises:
        UserError: for the first such place, with its line.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not in UTF-8 ({first_line(error)}): save it as UTF-8"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or first_line(error)
        raise UserError(f"{where}: not valid YAML ({reason})") from error
    for node in _nodes(root, set()):
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, path)
        elif isinstance(node, yaml.ScalarNode):
            _check_integer(node, path)


def _nodes(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.Node]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:  # an anchor's node comes wherever it is named
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, yaml.MappingNode):
            waiting += [part for pair in reversed(one.value) for part in reversed(pair)]
        elif isinstance(one, yaml.SequenceNode):
            waiting += reversed(one.value)


def _check_keys(section: yaml.MappingNode, path: Path) -> None:
    lines: dict[str, int] = {}
    for key, _ in section.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{path}, line {line}: a key must be a text")
        if key.tag in _READ_AS:
            raise UserError(
                f"{path}, line {line}: YAML reads the key {key.value or '(nothing)'} as "
                f'{_READ_AS[key.tag]}: write it in quotes, "{key.value}"'
            )
        if key.value in lines:
            raise UserError(
                f"{path}, line {line}: the key {key.value!r} is there twice in this section, in "
                f"line {lines[key.value]} already: keep one of them"
            )
        lines[key.value] = line


def _check_integer(scalar: yaml.ScalarNode, path: Path) -> None:
    if scalar.tag == _INTEGER and not _PLAIN_INTEGER.fullmatch(scalar.value):
        raise UserError(
            f"{path}, line {scalar.start_mark.line + 1}: YAML does not read {scalar.value} as the "
            "decimal number that it looks like: write it without leading zeros and colons, or in "
            "quotes"
        )
