"""A digest of a script's code and of every module of this project that it imports.

Comments and formatting do not count: the digest is of the syntax trees.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def code_digest(script: Path, root: Path, pinned: Iterable[Path] = ()) -> str:
    """Return a digest that changes when the behaviour of `script` may have changed.

    Args:
        script: the entry point.
        root: the folder that the project's packages are in; imports found there are followed,
            transitively, and the packages on the way (`__init__.py`) with them.
        pinned: further files whose bytes count, such as the pinned requirements.
    """
    digest = hashlib.sha256()
    for source in sorted(imported_files(script, root)):
        tree = ast.parse(source.read_text(), filename=str(source))
        digest.update(f"{source.relative_to(root)}\n{ast.dump(tree)}\n".encode())
    for path in sorted(pinned):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def imported_files(script: Path, root: Path) -> set[Path]:
    """Return `script` and the files under `root` that it imports, transitively."""
    root = root.resolve()
    found: set[Path] = set()
    pending = [script.resolve()]
    while pending:
        source = pending.pop()
        if source in found:
            continue
        found.add(source)
        for module in _imported_modules(source, root):
            pending += _module_files(module, root)
    return found


def _imported_modules(source: Path, root: Path) -> Iterator[str]:
    package = source.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(source.read_text(), filename=str(source))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            yield module
            for alias in node.names:  # `from package import module`
                yield f"{module}.{alias.name}"


def _module_files(module: str, root: Path) -> Iterator[Path]:
    folder = root
    for part in module.split("."):
        as_file = folder / f"{part}.py"
        if as_file.is_file():
            yield as_file
        folder /= part
        as_package = folder / "__init__.py"
        if as_package.is_file():
            yield as_package
