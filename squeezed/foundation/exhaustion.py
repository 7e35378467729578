"""Where a resource ran out (memory, shared memory, disk, files, processes): what, and what to do.

Loads neither torch nor numpy: their errors are known by what they say.
"""

import errno
import re
from collections.abc import Iterator

from squeezed.foundation.errors import first_line

_GO_ON = "run again, which goes on from what is finished"

MEMORY = (
    "the memory is used up",
    "use `storage: files` for a large data set, a smaller `batch_size`, fewer jobs at a time "
    f"(`--cores`) or a machine with more, and {_GO_ON}",
)
GPU_MEMORY = (
    "the GPU's memory is used up",
    f"use a smaller `batch_size`, fewer jobs at a time, or `device: cpu`, and {_GO_ON}",
)
SHARED_MEMORY = (
    "the shared memory (/dev/shm) is used up",
    "make it larger (docker run --shm-size=4g), or set `workers` to 0 or `processes` to 1, and "
    + _GO_ON,
)
DISK = ("the disk is full", f"make room, or run on a larger one, and {_GO_ON}")
READ_ONLY = (
    "this place cannot be written to",
    f"run in a folder of yours on a disk that takes files, and {_GO_ON}",
)
FORBIDDEN = (
    "a file or folder may not be used",
    f"change its permissions or run in a folder of yours, and {_GO_ON}",
)
FAILING = (
    "the disk or network drive fails",
    f"look after it, and {_GO_ON}",
)
FILES = (
    "too many files are open",
    f"raise the limit (`ulimit -n 4096`) or set `workers` lower, and {_GO_ON}",
)
PROCESSES = (
    "no further process or thread can be started",
    f"run fewer jobs at a time (`--cores`) or raise the limit (`ulimit -u`), and {_GO_ON}",
)

_BY_NUMBER = {
    errno.ENOMEM: MEMORY,
    errno.ENOSPC: DISK,
    errno.EDQUOT: DISK,
    errno.EFBIG: DISK,
    errno.EROFS: READ_ONLY,
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
    errno.EIO: FAILING,
    errno.ESTALE: FAILING,
    errno.EMFILE: FILES,
    errno.ENFILE: FILES,
    errno.EAGAIN: PROCESSES,
}

NO_MEMORY = ": ".join(MEMORY)
"""What is said where no memory is left to find out what the error is."""

# What libraries say that raise errors of other types, by words of their sentences.
_BY_WORDS = [
    (
        r"shared memory|/dev/shm|torch_shm_manager|killed by signal: Bus error|/torch_\d+",
        SHARED_MEMORY,
    ),
    (r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED", GPU_MEMORY),
    (
        r"can't allocate memory|Cannot allocate memory|[Uu]nable to allocate|[Ff]ailed to allocate"
        r"|not enough memory|bad_?alloc|[Oo]ut of memory|killed by signal: Killed"
        # A library that is loaded late; oneDNN, where it gets no room for a convolution; pandas,
        # which got none for a buffer (what fails while it reads, it raises as it is).
        r"|failed to map segment|could not create a (primitive|memory)"
        r"|Calling read\(nbytes\) on source failed",
        MEMORY,
    ),
    (
        r"No space left on device|Disk quota exceeded|File too large|file write failed"
        # ONNX Runtime, of a file that it writes.
        r"|Protobuf serialization failed",
        DISK,
    ),
    (r"Read-only file system", READ_ONLY),
    (r"Permission denied", FORBIDDEN),
    (r"Too many open files|received 0 items of ancdata", FILES),
    (r"can't start new thread|Resource temporarily unavailable", PROCESSES),
]


def exhausted(error: BaseException) -> str | None:
    """Return what ran out and what to do about it, None if the error has another cause.

    Looks at the error and at those that led to it.
    """
    for one in _chain(error):
        found = _exhausted(one)
        if found is not None:
            what, advice = found
            detail = first_line(one)
            return f"{what}{'' if detail == type(one).__name__ else f' ({detail})'}: {advice}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__


def _exhausted(error: BaseException) -> tuple[str, str] | None:
    if isinstance(error, OSError) and error.errno in _BY_NUMBER:
        shared = str(error.filename or "").startswith("/dev/shm")
        return SHARED_MEMORY if shared else _BY_NUMBER[error.errno]
    if isinstance(error, (KeyError, SyntaxError, AssertionError)):
        return None
    said = str(error)
    for words, found in _BY_WORDS:
        if re.search(words, said):
            return found
    return MEMORY if isinstance(error, MemoryError) else None
