"""A digest of a script's code and of every module of this project that it imports.

Comments, docstrings and formatting do not count, and the digest is the same under every version
of Python: it is of the syntax trees. An import is followed wherever it stands (in a function,
too), but only where it is written as one: what `importlib` imports by a computed name is not seen.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def code_digest(
    script: Path,
    root: Path,
    pinned: Iterable[Path] = (),
    *,
    entries: Iterable[str] = (),
    further_roots: Iterable[Path] = (),
) -> str:
    """Return a digest that changes when the behaviour of `script` may have changed.

    Args:
        script: the entry point.
        root: the folder that the project's packages are in; imports found there are followed,
            transitively, and the packages on the way (`__init__.py`) with them.
        pinned: further files whose bytes count, such as the pinned requirements.
        entries: names of modules that `script` imports by a name that it is given.
        further_roots: folders below `root` that imports are looked for in, too.

    Returns:
        16 hexadecimal digits.

    Raises:
        SyntaxError: if a file is no Python.
    """
    root = root.resolve()
    digest = hashlib.sha256()
    found = imported_files(script, root, entries=entries, further_roots=further_roots)
    for source in sorted(found):
        digest.update(f"{source.relative_to(root).as_posix()}\n".encode())
        digest.update(_meaning(source.read_text(encoding="utf-8")))
    for path in sorted(pinned):
        digest.update(f"{path.name}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def imported_files(
    script: Path,
    root: Path,
    *,
    entries: Iterable[str] = (),
    further_roots: Iterable[Path] = (),
) -> set[Path]:
    """Return `script` and the files that it and `entries` import, transitively."""
    root, script = root.resolve(), script.resolve()
    roots = [root, *(folder.resolve() for folder in further_roots)]
    found: set[Path] = set()
    pending = [script]
    for entry in entries:
        pending += (file for each in roots for file in _module_files(entry, str(each)))
    while pending:
        source = pending.pop()
        if source in found:
            continue
        found.add(source)
        package = source.relative_to(root).parent.parts
        for module in _imported_modules(source.read_text(encoding="utf-8"), package):
            # Python looks in the script's own folder first.
            for folder in (script.parent, *roots):
                pending += _module_files(module, str(folder))
    return found


_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@functools.lru_cache(maxsize=1024)
def _meaning(text: str) -> bytes:
    """Digest a module's syntax tree (cached: most modules serve many scripts)."""
    tree = _parsed(text)
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING):
            _drop_docstring(node)
    return hashlib.sha256(_canonical(tree).encode()).digest()


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _drop_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        del node.body[0]


def _canonical(node: Any) -> str:
    """Write a syntax tree out, without what is absent.

    `ast.dump` would do, but what it writes for absent fields differs between versions of Python.
    """
    if isinstance(node, ast.AST):
        if isinstance(node, ast.JoinedStr):
            node.values = [part for part in node.values if not _is_empty_text(part)]
        fields = (
            f"{name}={_canonical(value)}"
            for name, value in ast.iter_fields(node)
            if not (value is None or value == [])
        )
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(_canonical(item) for item in node)}]"
    return repr(node)


def _is_empty_text(node: ast.AST) -> bool:
    """Tell whether a part of an f-string is "", which Python 3.12.1 adds and others do not."""
    return isinstance(node, ast.Constant) and node.value == ""


@functools.lru_cache(maxsize=1024)
def _imported_modules(text: str, package: tuple[str, ...]) -> tuple[str, ...]:
    """Return the absolute names of what a module in `package` imports, or may import."""
    return tuple(_find_imports(_parsed(text), package))


def _find_imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            yield module
            for alias in node.names:  # `from package import module`
                yield f"{module}.{alias.name}"


@functools.lru_cache(maxsize=16384)
def _module_files(module: str, root: str) -> tuple[Path, ...]:
    """Return the files under `root` that importing `module` runs."""
    found = []
    folder = root
    for part in module.split("."):
        folder = f"{folder}/{part}"
        found += [Path(f"{folder}.py"), Path(f"{folder}/__init__.py")]
    return tuple(path for path in found if path.is_file())
