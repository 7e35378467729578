"""What tells the workflow that the images behind a source's path are no longer the same.

Loads no numpy: the workflow asks while it builds the graph.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from squeezed.foundation.errors import UserError
from squeezed.foundation.files import user_path, walk_folder

SAMPLE_BYTES = 2**20

MEASURED_FILES = 100_000
"""How many files' sizes count: asking for a million takes minutes on a network drive."""


def source_stamp(path: str | None, summary: Path, key: str = "source_stamp") -> str | None:
    """Return a digest that changes when the source does.

    Of an archive, its size, beginning and end count (a zip's end lists all its files and their
    checksums); of a folder, the names of all files and, unless there are very many, their sizes.
    Times do not count: a copy is the same source.

    Args:
        path: a source's `path`, or that of pretrained weights; None for downloads, which are
            checked by their own checksums.
        summary: `data/{dataset}.json` of the set as it was prepared (`training.json` for weights).
            Where the source is not at hand, as after `dvc pull` on another machine, the stamp in it
            stands: what was made from the source is still good.
        key: of the stamp in `summary`.
    """
    if path is None:
        return None
    # Where a user or a file is not here, or cannot be read, the job that needs it says so.
    with contextlib.suppress(UserError, OSError):
        source = user_path(path)
        if source.is_dir():
            return _folder_stamp(source)
        if source.is_file():
            return _file_stamp(source)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        recorded: str | None = json.loads(summary.read_text(encoding="utf-8"))[key]
        return recorded
    return None


def own_weights(weights: str | None) -> str | None:
    """Return the path in an architecture's `weights`, None if they are no file of the user's."""
    return None if weights == "imagenet" else weights


def _file_stamp(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(SAMPLE_BYTES))
        file.seek(max(0, size - SAMPLE_BYTES))
        digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def _folder_stamp(path: Path) -> str:
    digest = hashlib.sha256()
    measured = 0
    # What cannot be listed or read is said when the set is prepared.
    for folder, files, oddities in walk_folder(path, on_error=lambda _: None):
        for name in sorted(files + oddities):
            file = folder / name
            digest.update(os.fsencode(f"{file.relative_to(path).as_posix()}\n"))
            measured += 1
            if measured <= MEASURED_FILES:
                with contextlib.suppress(OSError):
                    digest.update(f"{file.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]
