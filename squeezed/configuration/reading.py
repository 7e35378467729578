"""The text of a configuration file: what YAML would take otherwise than its author, line by line.

YAML lets the second of two equal keys win without a word, and takes `on` for true, `010` for 8 and
`1:30` for 90. Nothing of that can be seen once the file has been read. And it can say more than
sections of keys and values: sets, objects, sections that hold themselves.
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
_DATE = "tag:yaml.org,2002:timestamp"
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "int", "map", "merge", "null",
                                                   "seq", "str", "timestamp")}  # fmt: skip
MOST_NODES = 100_000
"""A configuration's keys and values at most, each alias counted as often as it is named."""
_PLAIN_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")


def check_file(path: Path) -> None:
    """Refuse a file that says a thing twice, or that YAML does not take as it is written.

    Raises:
        UserError: for the first such place, with its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        root = yaml.compose(text, yaml.SafeLoader)
        _check_nodes(root, path)
        # What only its values tell, such as a merge of what is no section.
        yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not in UTF-8 ({first_line(error)}): save it as UTF-8"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({first_line(error)})") from error
    except RecursionError as error:
        raise UserError(f"{path} nests too many lists or sections into each other") from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or first_line(error)
        raise UserError(f"{where}: not valid YAML ({reason})") from error


def _check_nodes(root: yaml.Node | None, path: Path) -> None:
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{path} must be sections of keys and values, such as `run: [digits]`")
    _check_size(root, path)
    for node in _nodes(root, set()):
        if node.tag not in _PLAIN:
            raise UserError(
                f"{path}, line {node.start_mark.line + 1}: {node.tag} is no kind of value that a "
                "configuration has: write a text, a number, a list or a section"
            )
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, path)
        elif isinstance(node, yaml.ScalarNode):
            _check_scalar(node, path)


def _check_size(root: yaml.Node, path: Path) -> None:
    """Refuse sections that hold themselves, and aliases of aliases that grow beyond all bounds."""
    sizes: dict[int, int] = {}
    within: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in within:
            raise UserError(
                f"{path}, line {node.start_mark.line + 1}: the section or list that begins here "
                "holds itself"
            )
        if id(node) not in sizes:
            within.add(id(node))
            sizes[id(node)] = 1 + sum(map(size, _below(node)))
            within.remove(id(node))
        return sizes[id(node)]

    if size(root) > MOST_NODES:
        raise UserError(
            f"{path} has more than {MOST_NODES:,} keys and values, counting what aliases (*name) "
            "repeat: write fewer"
        )


def _below(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _nodes(root: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:  # an anchor's node comes wherever it is named
            continue
        seen.add(id(one))
        yield one
        waiting += reversed(_below(one))


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


def _check_scalar(scalar: yaml.ScalarNode, path: Path) -> None:
    where = f"{path}, line {scalar.start_mark.line + 1}"
    if scalar.tag == _INTEGER and not _PLAIN_INTEGER.fullmatch(scalar.value):
        raise UserError(
            f"{where}: YAML does not read {scalar.value} as the decimal number that it looks like: "
            "write it without leading zeros and colons, or in quotes"
        )
    if scalar.tag == _DATE:
        raise UserError(
            f'{where}: YAML reads {scalar.value} as a date: write it in quotes, "{scalar.value}"'
        )
