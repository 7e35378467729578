"""Folders and archives of image files, read through one interface, never written to."""

import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from squeezed.foundation.errors import UserError, first_line

Entry = tuple[str, Callable[[], bytes]]

# What reading a truncated or damaged archive raises.
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a zip method that Python does not know
    OSError,
)


class ImageTree(Protocol):
    """A tree of files."""

    path: Path

    def entries(self) -> Iterator[Entry]:
        """Yield each file as (its path with `/`, a function that returns its bytes).

        Folders come too, their paths ending in `/`. The function is valid until the next entry.

        Raises:
            UserError: if the archive is damaged, or a path in it leads out of it.
        """
        ...

    def real(self, name: str) -> str:
        """Return where the file that `entries` calls `name` is below `path`."""
        ...


class PlainNames:
    """For trees that call files what they are called."""

    def real(self, name: str) -> str:
        """Return `name`."""
        return name


def open_tree(path: Path) -> ImageTree:
    """Open a folder, a zip or a tar archive (plain or compressed).

    Raises:
        UserError: if there is nothing at `path`, or it is neither.
    """
    if path.is_dir():
        return FolderTree(path)
    if not path.exists():
        raise UserError(f"there is no {path}: correct the source's `path`")
    if zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":
        return ZipTree(path)
    if (
        ".tar" in path.suffixes
        or path.suffix in (".tgz", ".txz", ".tbz2")
        or tarfile.is_tarfile(path)
    ):
        return TarTree(path)
    raise UserError(f"{path} is neither a folder nor a zip or tar archive")


class FolderTree(PlainNames):
    """A folder; links in it are followed."""

    def __init__(self, path: Path) -> None:
        """Name the folder."""
        self.path = path

    def entries(self) -> Iterator[Entry]:
        """Yield each file and folder (see `ImageTree`)."""
        for folder, subfolders, files in os.walk(self.path, followlinks=True):
            subfolders.sort()
            relative = Path(folder).relative_to(self.path)
            if relative.parts:
                yield f"{relative.as_posix()}/", bytes
            for name in sorted(files):
                yield (relative / name).as_posix(), Path(folder, name).read_bytes


class ZipTree(PlainNames):
    """A zip archive."""

    def __init__(self, path: Path) -> None:
        """Name the archive."""
        self.path = path

    def entries(self) -> Iterator[Entry]:
        """Yield each file and folder (see `ImageTree`)."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                for member in archive.infolist():
                    _refuse_escape(self.path, member.filename)
                    yield member.filename, self._reader(archive, member)
        except DAMAGED as error:
            raise _damaged(self.path, error) from error

    def _reader(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], bytes]:
        def read() -> bytes:
            try:
                return archive.read(member)
            except DAMAGED as error:
                raise _damaged(self.path, error) from error

        return read


class TarTree(PlainNames):
    """A tar archive, plain or compressed."""

    def __init__(self, path: Path) -> None:
        """Name the archive."""
        self.path = path

    def entries(self) -> Iterator[Entry]:
        """Yield each file and folder (see `ImageTree`)."""
        try:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    _refuse_escape(self.path, member.name)
                    if member.issym() or member.islnk():
                        raise UserError(
                            f"{self.path} holds a link, {member.name}: pack the file itself"
                        )
                    name = f"{member.name}/" if member.isdir() else member.name
                    yield name, self._reader(archive, member)
                _refuse_missing_end(archive)
        except DAMAGED as error:
            raise _damaged(self.path, error) from error

    def _reader(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
        def read() -> bytes:
            try:
                file = archive.extractfile(member)
                return file.read() if file else b""
            except DAMAGED as error:
                raise _damaged(self.path, error) from error

        return read


def _damaged(archive: Path, error: Exception) -> UserError:
    return UserError(f"{archive} is truncated or damaged ({first_line(error)})")


def _refuse_escape(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    on_a_drive = bool(re.match("[A-Za-z]:", name))
    if path.is_absolute() or ".." in path.parts or on_a_drive:
        raise UserError(f"{archive} holds the path {name!r}, which leads out of it: not unpacked")


def _refuse_missing_end(archive: tarfile.TarFile) -> None:
    """Raise if a tar archive stops without its empty last block (tarfile takes it as whole)."""
    stream = archive.fileobj
    assert stream is not None
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("its end is missing")
