"""A digest of a script's code and of every module of this project that it imports.

Comments, docstrings and formatting do not count, and the digest is the same under every version
of Python: it is of the syntax trees. An import is followed wherever it stands (in a function,
too), but only where it is written as one: what `importlib` imports by a computed name is not seen.
"""

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from squeezed.foundation.files import atomic_path


def code_digest(
    script: Path,
    root: Path,
    pinned: Iterable[Path] = (),
    *,
    entries: Iterable[str] = (),
    further_roots: Iterable[Path] = (),
    memory: Path | None = None,
) -> str:
    """Return a digest that changes when the behaviour of `script` may have changed.

    Args:
        script: the entry point.
        root: the folder that the project's packages are in; imports found there are followed,
            transitively, and the packages on the way (`__init__.py`) with them.
        pinned: further files whose bytes count, such as the pinned requirements.
        entries: names of modules that `script` imports by a name that it is given.
        further_roots: folders below `root` that imports are looked for in, too.
        memory: a folder to keep in what was found out of each text: planning waits for it, and on a
            cluster each job plans.

    Returns:
        16 hexadecimal digits.

    Raises:
        SyntaxError: if a file is no Python.
    """
    root = root.resolve()
    digest = hashlib.sha256()
    found = imported_files(
        script, root, entries=entries, further_roots=further_roots, memory=memory
    )
    for source in sorted(found):
        digest.update(f"{source.relative_to(root).as_posix()}\n".encode())
        digest.update(_read(source.read_text(encoding="utf-8"), memory).meaning.encode())
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
    memory: Path | None = None,
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
        imports = _read(source.read_text(encoding="utf-8"), memory).imports
        for module in _imported_modules(imports, package):
            # Python looks in the script's own folder first.
            for folder in (script.parent, *roots):
                pending += _module_files(module, str(folder))
    return found


_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class _Import(NamedTuple):
    """An import as it is written: of whole modules, or of names from one."""

    level: int
    """Leading dots."""
    modules: tuple[str, ...]
    names: tuple[str, ...] = ()


class _Source(NamedTuple):
    """What counts of a module's text."""

    meaning: str
    """A digest of its syntax tree."""
    imports: tuple[_Import, ...]


@functools.lru_cache(maxsize=1024)
def _read(text: str, memory: Path | None = None) -> _Source:
    """Find out what counts of a text (cached: most modules serve many scripts)."""
    if memory is None:
        return _parse(text)
    path = memory / f"{hashlib.sha256(_rules() + text.encode()).hexdigest()[:32]}.json"
    try:
        meaning, imports = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = _parse(text)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(found), encoding="utf-8")
        return found
    return _Source(
        meaning,
        tuple(_Import(level, tuple(modules), tuple(names)) for level, modules, names in imports),
    )


@functools.cache
def _rules() -> bytes:
    """Return what a memory depends on beside the text: this module's own."""
    return Path(__file__).read_bytes()


def _parse(text: str) -> _Source:
    written: list[str] = []
    imports: list[_Import] = []
    _write(ast.parse(text), written, imports)
    return _Source(hashlib.sha256("".join(written).encode()).hexdigest(), tuple(imports))


def _write(node: Any, written: list[str], imports: list[_Import]) -> None:
    """Write a syntax tree out, without docstrings and what is absent, and gather its imports.

    `ast.dump` would do, but what it writes for absent fields differs between versions of Python.
    """
    if isinstance(node, ast.AST):
        if isinstance(node, ast.Import):
            imports.append(_Import(0, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            imports.append(_Import(node.level, (node.module or "",), names))
        written.append(f"{type(node).__name__}(")
        for name in node._fields:
            value: Any = getattr(node, name, None)
            if name == "body" and isinstance(node, _WITH_DOCSTRING) and _is_docstring(value[:1]):
                value = value[1:]
            elif isinstance(node, ast.JoinedStr):
                value = [part for part in value if not _is_empty_text(part)]
            if value is None or value == []:
                continue
            written.append(f"{name}=")
            _write(value, written, imports)
            written.append(",")
        written.append(")")
    elif isinstance(node, list):
        written.append("[")
        for item in node:
            _write(item, written, imports)
            written.append(",")
        written.append("]")
    else:
        written.append(repr(node))


def _is_docstring(statements: list[ast.stmt]) -> bool:
    match statements:
        case [ast.Expr(value=ast.Constant(value=str()))]:
            return True
    return False


def _is_empty_text(node: ast.AST) -> bool:
    """Tell whether a part of an f-string is "", which Python 3.12.1 adds and others do not."""
    return isinstance(node, ast.Constant) and node.value == ""


@functools.lru_cache(maxsize=1024)
def _imported_modules(imports: tuple[_Import, ...], package: tuple[str, ...]) -> tuple[str, ...]:
    """Return the absolute names of what a module in `package` imports, or may import."""
    return tuple(_absolute(imports, package))


def _absolute(imports: Iterable[_Import], package: tuple[str, ...]) -> Iterator[str]:
    for level, modules, names in imports:
        base = package[: len(package) - level + 1] if level else ()
        for module in modules:
            absolute = ".".join([*base, *filter(None, [module])])
            yield absolute
            for name in names:  # `from package import module`
                yield f"{absolute}.{name}"


@functools.lru_cache(maxsize=16384)
def _module_files(module: str, root: str) -> tuple[Path, ...]:
    """Return the files under `root` that importing `module` runs."""
    found = []
    folder = root
    for part in module.split("."):
        here, folder = folder, f"{folder}/{part}"
        if f"{part}.py" in _files_in(here):
            found.append(Path(f"{folder}.py"))
        if "__init__.py" in _files_in(folder):
            found.append(Path(f"{folder}/__init__.py"))
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _files_in(folder: str) -> frozenset[str]:
    """Return the names of the files in a folder: planning asks for thousands of modules."""
    try:
        return frozenset(path.name for path in Path(folder).iterdir() if path.is_file())
    except OSError:
        return frozenset()
