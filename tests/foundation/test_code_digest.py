"""The digest changes with the code that a script runs, and with nothing else."""

import ast
import re
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezed.foundation.code_digest import code_digest, imported_files
from tests import PROJECT


@pytest.fixture
def project(tmp_path):
    """A function that writes files, by name, into an empty project, and returns its folder."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path

    return write


def names(root, script="scripts/run.py"):
    """The names of the files that a script imports, without the script."""
    files = imported_files(root / script, root)
    return {path.relative_to(root.resolve()).as_posix() for path in files} - {script}


def test_follows_absolute_imports_transitively(project):
    root = project(
        scripts__run="import package.first\n",
        package__first="from package.second import thing\n",
        package__second="thing = 1\n",
        package__other="",
    )
    assert names(root) == {"package/first.py", "package/second.py"}


def test_follows_relative_imports(project):
    root = project(
        scripts__run="import package.inner.first\n",
        package__inner__first="from . import second\nfrom ..outer import x\nfrom .. import top\n",
        package__inner__second="",
        package__outer="x = 1",
        package__top="",
    )
    expected = {"inner/first.py", "inner/second.py", "outer.py", "top.py"}
    assert names(root) == {f"package/{name}" for name in expected}


def test_follows_the_packages_on_the_way(project):
    root = project(scripts__run="from package.inner.module import thing\n")
    for name in ("package/__init__.py", "package/inner/__init__.py", "package/inner/module.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / "package/__init__.py").write_text("from .used_by_package import a\n")
    (root / "package/used_by_package.py").write_text("a = 1\n")
    assert names(root) == {
        "package/__init__.py",
        "package/used_by_package.py",
        "package/inner/__init__.py",
        "package/inner/module.py",
    }


def test_follows_a_module_imported_from_its_package(project):
    root = project(scripts__run="from package import module, other as o\n", package__module="")
    (root / "package/other.py").write_text("")
    assert names(root) == {"package/module.py", "package/other.py"}


def test_follows_imports_inside_functions_and_conditions(project):
    root = project(
        scripts__run="""
            def main():
                if True:
                    import package.lazy as lazy
                class A:
                    from package import in_class
            try:
                from package.maybe import x
            except ImportError:
                pass
            """,
        package__lazy="",
        package__in_class="",
        package__maybe="",
    )
    assert names(root) == {f"package/{name}.py" for name in ("lazy", "in_class", "maybe")}


def test_survives_import_cycles(project):
    root = project(scripts__run="import a\n", a="import b\n", b="import a\n")
    assert names(root) == {"a.py", "b.py"}


def test_follows_a_neighbour_of_the_script(project):
    root = project(scripts__run="import neighbour\n", scripts__neighbour="")
    assert names(root) == {"scripts/neighbour.py"}


def test_ignores_libraries(project):
    root = project(scripts__run="import json, numpy as np\nfrom os import path\n")
    assert names(root) == set()


def test_reaches_the_root_through_a_link(project, tmp_path_factory):
    root = project(scripts__run="import package.a\n", package__a="")
    link = tmp_path_factory.mktemp("links") / "link"
    link.symlink_to(root)
    assert code_digest(link / "scripts/run.py", link) == code_digest(root / "scripts/run.py", root)


BEFORE = '''
"""Docstring."""
def f(a, b=1):
    """Say."""
    return a + b  # comment
'''


@pytest.mark.parametrize(
    ("after", "same"),
    [
        ("def f(\n    a,\n    b = 1,\n):\n\n    return (a + b)\n", True),  # comments and formatting
        ('"""Other."""\ndef f(a, b=1):\n    """Else."""\n    return a+b', True),  # docstrings
        ("def f(a, b=2): return a + b", False),
        ("def f(a, b=1): return a - b", False),
        ("def f(a, b=True): return a + b", False),
        ("def f(a, b='1'): return a + b", False),
        ("def f(a, *, b=1): return a + b", False),
        ("def f(a, b=1): return a + b\nf(1)", False),
    ],
)
def test_counts_meaning_not_writing(project, after, same):
    root = project(scripts__run="import module", module=BEFORE)
    before = code_digest(root / "scripts/run.py", root)
    project(module=after)
    assert (code_digest(root / "scripts/run.py", root) == before) is same


def test_a_string_that_is_used_is_no_docstring(project):
    root = project(scripts__run="x = 1\n'a'\ny = 'a'")
    before = code_digest(root / "scripts/run.py", root)
    project(scripts__run="x = 1\n'a'\ny = 'b'")
    assert code_digest(root / "scripts/run.py", root) != before


def test_counts_moved_modules_and_pinned_files(project):
    root = project(scripts__run="from package import a, b", package__a="x = 1", package__b="x = 2")
    pin = root / "requirements.txt"
    pin.write_text("torch==1")
    script = root / "scripts/run.py"
    digests = {code_digest(script, root), code_digest(script, root, [pin])}
    pin.write_text("torch==2")
    digests.add(code_digest(script, root, [pin]))
    project(package__a="x = 2", package__b="x = 1")  # the same two texts, swapped
    digests |= {code_digest(script, root), code_digest(script, root, [pin])}
    assert len(digests) == 5


@given(st.integers() | st.floats() | st.text() | st.booleans() | st.none() | st.binary())
def test_every_constant_counts(value):
    """Two different constants never give one digest; the same constant always does."""
    from squeezed.foundation.code_digest import _read

    text = f"x = {value!r}"
    assert _read(text) == _read(f"x   =   ({value!r})  # comment")
    for other in (0, 1, "", "1", b"", True, None, 1.0):
        if ast.dump(ast.parse(text)) != ast.dump(ast.parse(f"x = {other!r}")):
            assert _read(text) != _read(f"x = {other!r}")


def test_modules_that_are_imported_by_name_count(project):
    root = project(
        scripts__run="import importlib",
        package____init__="",
        package__one="import shared",
        package__other="",
        shared="x = 1",
        own__mine="import shared",
    )
    script = root / "scripts/run.py"

    def digest(*entries):
        return code_digest(script, root, entries=entries, further_roots=(root / "own",))

    before = {entry: digest(entry) for entry in ("package.one", "package.other", "mine")}
    assert len({digest(), *before.values()}) == 4
    (root / "shared.py").write_text("x = 2")
    assert digest("package.one") != before["package.one"]
    assert digest("mine") != before["mine"]
    assert digest("package.other") == before["package.other"]


def test_is_the_same_under_every_python(project):
    """A clone on another Python has nothing to run again: a digest is a constant."""
    root = project(
        scripts__run="""
            from __future__ import annotations
            import module
            async def f(*a: int, b: str | None = None, **c):
                return [*a, {**c}, b"x", 1.5e-3, 2j, ...]
            class A(B, metaclass=M):
                x: int = 3
                @property
                def y(self): return f"{self.x!r:>{10}} {{}}" "joined"
            match x:
                case {"a": [1, *_]} if y: pass
            """,
        module="try:\n    pass\nexcept* ValueError as e:\n    raise A from e\n",
    )
    assert code_digest(root / "scripts/run.py", root) == "9a6e363d96f51cfb"


def test_what_is_remembered_is_what_is_found(project, tmp_path_factory):
    """In a process of its own: texts are kept within one, too."""
    memory = tmp_path_factory.mktemp("memory")
    root = project(
        scripts__run="from package import part\nfrom .near import x\nimport a.b, module",
        scripts__near="x = 1",
        module="",
        package__part="from . import other",
        package__other="y = 2",
    )
    program = (
        "import ast, sys; from pathlib import Path\n"
        "from squeezed.foundation.code_digest import code_digest\n"
        "root, memory = Path(sys.argv[1]), sys.argv[2]\n"
        "if sys.argv[3:]: ast.parse = None\n"
        "print(code_digest(root / 'scripts/run.py', root, memory=Path(memory) if memory else None))"
    )

    def digest(*arguments):
        command = [sys.executable, "-c", program, root, *arguments]
        return subprocess.check_output(command, text=True, cwd=PROJECT)

    expected = digest("")
    assert digest(memory) == digest(memory, "parse nothing") == expected
    for kept in memory.iterdir():
        kept.write_text("cut o", encoding="utf-8")
    assert digest(memory) == expected
    (root / "package/other.py").write_text("y = 3", encoding="utf-8")
    assert digest(memory) != expected


def test_a_digest_is_quick():
    """The graph is built from one digest for each rule: together well under a second."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from squeezed.foundation.code_digest import code_digest\n"
        "start = time.process_time(); root = Path(sys.argv[1])\n"
        "for script in (root / 'scripts').glob('*.py'): code_digest(script, root)\n"
        "print(time.process_time() - start)"
    )
    run = [sys.executable, "-c", program, PROJECT]

    def seconds():
        return float(subprocess.check_output(run, text=True, cwd=PROJECT))

    assert any(seconds() < 2 for _ in range(3))  # two busy cores have slowed one down


BY_NAME = {
    "squeezed/__init__.py",  # the public face, which no job uses
    "squeezed/attacks/method.py",  # the rules name the method's module
    "squeezed/steps/resolve.py",  # the rules name the step's module
}
"""Modules that import others by a name: their jobs' digests are told of it as `entries`."""


def test_no_module_is_imported_by_a_computed_name():
    """Such an import would not be followed."""
    sources = [*(PROJECT / "squeezed").rglob("*.py"), *(PROJECT / "scripts").glob("*.py")]
    assert sources
    for source in sources:
        by_name = re.search(r"\b(import_module|__import__)\(", source.read_text()) is not None
        assert by_name == (source.relative_to(PROJECT).as_posix() in BY_NAME), source
