"""What tells the workflow that an imported model is no longer the same. Loads no engine."""

import contextlib
import hashlib
from functools import lru_cache
from pathlib import Path

from squeezed.foundation.errors import UserError
from squeezed.foundation.files import sha256_of, user_path
from squeezed.foundation.source_stamp import source_stamp


def original_stamp(path: str | None, made: Path) -> str | None:
    """Return a digest of a model's file and of those beside it that hold its weights.

    Args:
        path: the recipe's, None where it names none.
        made: `import.json` of the graph that was made. Where the model is not at hand, the stamp in
            it stands (`squeezed.foundation.source_stamp`).
    """
    file = None
    with contextlib.suppress(UserError, OSError):
        file = None if path is None else user_path(path)
    if file is None or not file.is_file():
        return source_stamp(path, made, "original_stamp")
    digest = hashlib.sha256()
    for each in _files(file):
        digest.update(f"{each.name}\n".encode())
        # What is not there, or cannot be read, the job that needs it says.
        with contextlib.suppress(OSError):
            facts = each.stat()
            digest.update(_sha256(each, facts.st_size, facts.st_mtime_ns).encode())
    return digest.hexdigest()[:16]


def _files(model: Path) -> list[Path]:
    """Return a model's file and those with its weights; of a damaged model itself alone."""
    if model.suffix != ".onnx":
        return [model]
    from squeezed.graphs.foreign.onnx_file import model_files

    folder = model.resolve().parent
    with contextlib.suppress(UserError):
        # What leads out of the folder is not followed: the job refuses it.
        return [
            each
            for each in model_files(model)
            if each == model or each.resolve().is_relative_to(folder)
        ]
    return [model]


@lru_cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Return a file's digest, computed anew where its size or time is another."""
    return sha256_of(path)
