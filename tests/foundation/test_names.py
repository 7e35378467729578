"""No variant has a name that code knows: what is said of one follows from its recipe."""

import ast

import pytest

from squeezed.configuration.completion import load_schema
from tests import PROJECT

SCHEMA = load_schema(PROJECT / "config.schema.yaml")
DEFAULTS = set(SCHEMA["$defs"]["experiment"]["properties"]["variants"]["default"])
SOURCES = [
    path
    for folder in ("squeezed", "scripts")
    for path in sorted((PROJECT / folder).rglob("*.py"))
    if "squeezed/paper" not in path.as_posix()
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_no_module_but_the_papers_names_a_variant(source):
    constants = {
        node.value
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not constants & DEFAULTS


@pytest.mark.parametrize("rules", sorted((PROJECT / "rules").glob("*.smk")), ids=lambda p: p.name)
def test_no_rule_names_a_variant(rules):
    text = rules.read_text(encoding="utf-8")
    assert not [name for name in DEFAULTS if f'"{name}"' in text or f"/{name}/" in text]
