"""What a result was made from, with what, where and how long it took."""

import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from squeezed.foundation.files import sha256_of

REPORTED_PACKAGES = (
    "captum",
    "numpy",
    "onnx",
    "onnxruntime",
    "openTSNE",
    "scikit-learn",
    "snakemake",
    "torch",
    "torchvision",
)


class Provenance:
    """Collects a job's provenance: create it when the job starts, `finish` it when it ends."""

    def __init__(
        self,
        *,
        inputs: Mapping[str, str | Path],
        settings: Mapping[str, Any],
        seed: int | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        """Start the clock.

        Args:
            inputs: a name for each input file and its path (only its SHA-256 is kept, so that
                no path of a machine gets into a result).
            settings: the rule's own sections of the configuration.
            seed: the experiment's seed, where there is one.
            device: `cpu` or `cuda`.
            threads: how many threads the job computed with.
        """
        self._started = time.perf_counter()
        self.facts = {
            "inputs_sha256": {name: sha256_of(path) for name, path in inputs.items()},
            "settings": dict(settings),
            "seed": seed,
            "device": device,
            "threads": threads,
        }

    def finish(self) -> dict[str, Any]:
        """Return the provenance as a JSON-ready dictionary, the job's duration and memory in it."""
        memory = psutil.Process().memory_info()
        return {
            **self.facts,
            "commit": source_commit(),
            "machine": machine(),
            "versions": versions(),
            "duration_s": round(time.perf_counter() - self._started, 3),
            "peak_memory_mib": round(_peak_memory_bytes(memory.rss) / 2**20, 1),
        }


def versions() -> dict[str, str]:
    """Return the versions of Python, this package and the libraries that decide the results."""
    found = {"python": platform.python_version()}
    for name in ("squeezed", *REPORTED_PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """Describe the machine without naming it: processor, cores, memory, operating system."""
    return {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def source_commit() -> str:
    """Return the commit of the source tree, with `-dirty` where tracked files differ from it."""
    root = Path(__file__).parents[2]
    try:
        return subprocess.run(
            ["git", "-C", root, "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _peak_memory_bytes(resident: int) -> int:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resident
