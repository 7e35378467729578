"""Downloads that are checked, and that go on where a broken one stopped."""

import hashlib
import logging
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from squeezed.foundation.errors import UserError
from squeezed.foundation.progress import track

logger = logging.getLogger(__name__)

CHUNK_BYTES = 2**20
TIMEOUT_S = 30


def download(url: str, md5: str, folder: Path) -> Path:
    """Return the path of the file behind `url`, fetched unless it is in `folder` already.

    What arrives is kept in a file named `….part` until it is whole and checked, so that a second
    try goes on from there.

    Args:
        url: `http`, `https` or `file`.
        md5: the file's MD5, 32 hexadecimal digits.
        folder: where downloads are kept; made if it is not there.

    Raises:
        UserError: if there is no network, not enough disk, or the checksum does not match.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(urlsplit(url).path).name
    if path.exists() and md5_of(path) == md5:
        return path
    part = path.with_name(path.name + ".part")
    try:
        _fetch(url, part)
    except urllib.error.HTTPError as error:
        raise UserError(f"{url} cannot be downloaded: the server answers {error}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{url} cannot be downloaded ({reason}): check the network and run again, which goes "
            "on where this stopped, or set the source's `path` to a copy of yours"
        ) from error
    except OSError as error:
        raise UserError(
            f"{part} cannot be written ({error.strerror}): make room and run again"
        ) from error
    found = md5_of(part)
    if found != md5:
        part.unlink()
        raise UserError(
            f"{url} has the MD5 {found} instead of {md5}: it has changed or was damaged on its "
            "way; what arrived was deleted"
        )
    part.replace(path)
    return path


def md5_of(path: Path) -> str:
    """Return the MD5 of a file's bytes as 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def check_md5(path: Path, md5: str | None) -> None:
    """Check a file of the user's, if the source gives an MD5.

    Raises:
        UserError: if it does not match.
    """
    if md5 is not None and md5_of(path) != md5:
        raise UserError(
            f"{path} has the MD5 {md5_of(path)} instead of {md5}: it is damaged or another file "
            "(without `md5` in the source it is taken as it is)"
        )


def _fetch(url: str, part: Path) -> None:
    """Append to `part` what it lacks of the file behind `url`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "squeezed"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send
            return
        raise
    with response:
        continues = response.status == 206
        length = response.headers.get("Content-Length")
        remaining = int(length) if length else None
        if remaining is not None:
            _check_room(url, part.parent, remaining)
        logger.info("downloading %s", url)
        with part.open("ab" if continues else "wb") as file:
            received = 0
            for chunk in track(_Chunks(response), part.stem, _chunks_of(remaining)):
                file.write(chunk)
                received += len(chunk)
    if remaining is not None and received < remaining:
        raise ConnectionError(f"the connection ended after {received} of {remaining} bytes")


class _Chunks:
    def __init__(self, response: HTTPResponse) -> None:
        self.response = response

    def __iter__(self) -> "_Chunks":
        return self

    def __next__(self) -> bytes:
        chunk = self.response.read(CHUNK_BYTES)
        if not chunk:
            raise StopIteration
        return chunk


def _chunks_of(size: int | None) -> int | None:
    return None if size is None else -(-size // CHUNK_BYTES)


def _check_room(url: str, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{url} needs {needed / 2**20:.0f} MiB, but {folder} has only {free / 2**20:.0f} MiB "
            "left: make room and run again"
        )
