"""How large a file is, as it is and gzipped."""

import zlib
from pathlib import Path

CHUNK = 2**20
GZIP_FORMAT = 31
"""zlib's name for the largest window with a gzip header, whose time is zero."""


def size_bytes(path: Path) -> int:
    """Return a file's size."""
    return path.stat().st_size


def gzipped_bytes(path: Path) -> int:
    """Return a file's size after gzip (level 6, no time and no name in the header)."""
    compressor = zlib.compressobj(level=6, wbits=GZIP_FORMAT)
    size = 0
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            size += len(compressor.compress(chunk))
    return size + len(compressor.flush())
