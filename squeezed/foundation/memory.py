"""How much memory a job may still take."""

import resource
from pathlib import Path

import psutil

UNLIMITED = 2**60
CGROUP = Path("/sys/fs/cgroup")
CGROUP_FILES = [
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
]


def available_memory(cgroup: Path = CGROUP) -> int:
    """Return the bytes that the machine, its container and `ulimit -v` leave to this process.

    Args:
        cgroup: where the container's limits are mounted (versions 2 and 1).
    """
    free = psutil.virtual_memory().available
    for limit_file, used_file in CGROUP_FILES:
        limit, used = _number(cgroup / limit_file), _number(cgroup / used_file)
        if limit is not None and used is not None and limit < UNLIMITED:
            free = min(free, max(0, limit - used))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        free = min(free, max(0, soft - psutil.Process().memory_info().vms))
    return int(free)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # "max"
        return None
