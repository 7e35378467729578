"""Disks that a test mounts for itself, which nobody else sees."""

import functools
import subprocess

import pytest

PRIVATE = ("unshare", "-rm", "sh", "-c")
"""Runs a shell's text in a process that may mount disks of its own."""


def require_mounts() -> None:
    """Skip the test where no such process can be had: containers often forbid it."""
    if not _mounts():
        pytest.skip("this machine lets nobody mount a disk, which only the superuser could change")


@functools.cache
def _mounts() -> bool:
    tried = subprocess.run([*PRIVATE, "mount -t tmpfs x /mnt"], check=False, capture_output=True)
    return tried.returncode == 0
