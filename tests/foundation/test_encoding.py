"""Texts are UTF-8 wherever they are read or written, whatever the machine's locale is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import PROJECT

FILES = sorted([*(PROJECT / "squeezed").rglob("*.py"), *(PROJECT / "scripts").glob("*.py")])


def calls_without_encoding(tree):
    """Yield the line of each call that reads or writes text in the locale's encoding."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name not in ("read_text", "write_text", "open", "NamedTemporaryFile", "fdopen"):
            continue
        owner = getattr(getattr(function, "value", None), "id", "")
        if name == "open" and owner in ("os", "Image", "tarfile", "webbrowser", "zipfile", "self"):
            continue
        modes = [*node.args[:2], *(k.value for k in node.keywords if k.arg == "mode")]
        texts = [c.value for m in modes for c in ast.walk(m) if isinstance(c, ast.Constant)]
        is_binary = any(isinstance(mode, str) and "b" in mode for mode in texts)
        defined_here = name == "write_text" and isinstance(function, ast.Name)
        encoded = any(keyword.arg == "encoding" for keyword in node.keywords)
        if not (encoded or defined_here) and not (is_binary and name != "write_text"):
            yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_text_is_in_the_locale_s_encoding(path):
    found = list(calls_without_encoding(ast.parse(path.read_text(encoding="utf-8"))))
    # `split.open(index)` opens an image.
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [lines[n - 1] for n in found if "split.open(" not in lines[n - 1]] == []


@pytest.mark.parametrize(
    "call",
    ["p.read_text()", "p.write_text('x')", "p.open()", "open('x', 'w')", "p.open('w', newline='')"],
)
def test_such_a_call_would_be_found(call):
    assert list(calls_without_encoding(ast.parse(call))) == [1]


def test_a_result_is_the_same_bytes_in_any_locale(tmp_path):
    """ASCII is the locale of a machine that has none."""
    program = (
        "import sys; from squeezed.foundation.results import read_result, write_result\n"
        "write_result(sys.argv[1], {'class': 'café'}, provenance={})\n"
        "assert read_result(sys.argv[1])['class'] == 'café'\n"
    )
    written = []
    for name, variables in (
        ("utf8", {"PYTHONUTF8": "1"}),
        ("ascii", {"PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}),
    ):
        path = Path(tmp_path, f"{name}.json")
        script = tmp_path / "script.py"
        script.write_text(program, encoding="utf-8")
        environment = {**os.environ, **variables, "PYTHONPATH": str(PROJECT)}
        subprocess.run([sys.executable, script, path], check=True, env=environment)
        written.append(path.read_bytes())
    assert written[0] == written[1]
