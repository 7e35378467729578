"""Folders and archives of image files, read through one interface, never written to."""

import contextlib
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from squeezed.data.image_files import read_image_file
from squeezed.foundation.errors import UserError, first_line
from squeezed.foundation.exhaustion import exhausted
from squeezed.foundation.files import walk_folder

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


FOREIGN = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\x1f\x9d": "compressed with compress",
    b"LZIP": "compressed with lzip",
    b"MSCF": "a cabinet file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite": "a database",
}
"""Archives that Python's library does not read, by how they begin."""

UNPACK = "unpack it and set the source's `path` to the folder"

ZIP_METHODS = {
    9: "Deflate64",
    93: "zstd",
    95: "xz",
    97: "WavPack",
    98: "PPMd",
    99: "AES",
    1: "Shrink",
    6: "Implode",
}
READ_METHODS = frozenset(
    {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
)
ENCRYPTED, NAMES_IN_UTF8 = 0x1, 0x800


def open_tree(path: Path) -> ImageTree:
    """Open a folder, a zip or a tar archive (plain or compressed).

    Raises:
        UserError: if there is nothing at `path`, or it is neither.
    """
    if path.is_dir():
        return FolderTree(path)
    if not path.exists():
        raise UserError(f"there is no {path}: correct the source's `path`")
    if not path.is_file():
        raise UserError(f"{path} is neither a folder nor a file: correct the source's `path`")
    _refuse_foreign(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    # By its end a tar that holds a zip would be taken for one.
    if not _begins_as_tar(path) and (zipfile.is_zipfile(path) or suffixes[-1:] == [".zip"]):
        return ZipTree(path)
    if (
        ".tar" in suffixes
        or suffixes[-1:] in ([".tgz"], [".txz"], [".tbz2"])
        or tarfile.is_tarfile(path)
    ):
        return TarTree(path)
    raise UserError(f"{path} is neither a folder nor a zip or tar archive")


def _refuse_foreign(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    for mark, what in FOREIGN.items():
        if start.startswith(mark):
            raise UserError(f"{path} is {what}, which is not read: {UNPACK}")


def _begins_as_tar(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(512)[257:262] == b"ustar"


class FolderTree(PlainNames):
    """A folder; links in it are followed, but never in a circle."""

    def __init__(self, path: Path) -> None:
        """Name the folder."""
        self.path = path

    def entries(self) -> Iterator[Entry]:
        """Yield each file and folder (see `ImageTree`)."""
        for folder, files, oddities in walk_folder(self.path, on_error=_refuse_folder):
            relative = folder.relative_to(self.path)
            if relative.parts:
                yield f"{relative.as_posix()}/", bytes
            for name in sorted(files + oddities):
                yield (relative / name).as_posix(), partial(read_image_file, folder / name)


def _refuse_folder(error: OSError) -> None:
    if exhausted(error):
        raise error
    raise UserError(
        f"{error.filename} cannot be listed ({error.strerror}): a data set needs all of its folders"
    ) from error


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
                    name = _zip_name(member)
                    _refuse_escape(self.path, name)
                    if name := _plain(name):
                        yield name, self._reader(archive, member)
        except DAMAGED as error:
            raise _damaged(self.path, error) from error

    def _reader(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], bytes]:
        def read() -> bytes:
            if member.flag_bits & ENCRYPTED:
                raise UserError(f"{self.path} is protected by a password: {UNPACK}")
            if member.compress_type not in READ_METHODS:
                method = ZIP_METHODS.get(member.compress_type, f"method {member.compress_type}")
                raise UserError(f"{self.path} is compressed with {method}, not read: {UNPACK}")
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
        """Yield each file and folder (see `ImageTree`); pipes and devices are passed over."""
        try:
            with tarfile.open(self.path, encoding="utf-8") as archive:
                for member in archive:
                    _refuse_escape(self.path, member.name)
                    if member.issym() or member.islnk():
                        raise UserError(
                            f"{self.path} holds a link, {member.name}: pack the file itself"
                        )
                    if not (member.isdir() or member.isfile()):
                        continue
                    name = f"{member.name}/" if member.isdir() else member.name
                    if name := _plain(name):
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


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Return a member's name with `/`; Windows' own packer wrote backslashes once, Macs no flag."""
    name = member.filename
    if not member.flag_bits & NAMES_IN_UTF8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _plain(name: str) -> str:
    """Return a path in its one form, without `./` and `//`; empty for the top itself."""
    path = PurePosixPath(name)
    return f"{path.as_posix()}{'/' if name.endswith('/') else ''}" if path.parts else ""


def _damaged(archive: Path, error: Exception) -> Exception:
    if exhausted(error):
        return error
    return UserError(f"{archive} is truncated or damaged ({first_line(error)})")


def _refuse_escape(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    on_a_drive = bool(re.match("[A-Za-z]:", name))
    if path.is_absolute() or ".." in path.parts or on_a_drive:
        raise UserError(f"{archive} holds the path {name!r}, which leads out of it: not unpacked")
    if not _can_be_a_name(name):
        raise UserError(f"{archive} holds the path {name!r}, which no file can have: not unpacked")


def _can_be_a_name(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _refuse_missing_end(archive: tarfile.TarFile) -> None:
    """Raise if a tar archive stops without its empty last block (tarfile takes it as whole)."""
    stream = archive.fileobj
    assert stream is not None
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("its end is missing")
