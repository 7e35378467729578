"""Files that appear whole or not at all, and their checksums."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from squeezed.foundation.errors import UserError


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` if the block succeeds.

    The temporary path has the suffix of `path`, because some writers choose the format by it.
    Whatever the block raises, `path` is left as it was and nothing half-written remains.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}.", suffix="".join(path.suffixes[-1:])
    )
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private to their owner
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def user_path(text: str) -> Path:
    """Return a path of the configuration, `~` and `~user` replaced by what they stand for.

    Raises:
        UserError: if there is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        user = Path(text).parts[0]
        raise UserError(f"{text}: there is no user {user} here: write the path in full") from error


def walk_folder(
    root: Path, on_error: Callable[[OSError], None]
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield (folder, its files, its oddities) for `root` and all below it, names sorted.

    Links are followed, but never into a folder that they lie in: each file comes once, and a loop
    of links ends. Oddities are links to nowhere, pipes and the like. Folders come before those in
    them, as in `os.walk`.

    Args:
        root: where to begin.
        on_error: is called with the error where a folder cannot be listed.
    """
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(root, frozenset())]
    while waiting:
        folder, above = waiting.pop()
        try:
            status = folder.stat()
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            on_error(error)
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            continue
        files: list[str] = []
        oddities: list[str] = []
        below: list[tuple[Path, frozenset[tuple[int, int]]]] = []
        for entry in entries:
            if _is(entry.is_dir):
                below.append((folder / entry.name, above | {identity}))
            else:
                (files if _is(entry.is_file) else oddities).append(entry.name)
        yield folder, files, oddities
        waiting += reversed(below)


def _is(asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except OSError:  # a link to itself
        return False
