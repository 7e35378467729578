"""Whether an experiment runs on a GPU: decided once, while the graph is built, without torch."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

GPUS_VARIABLE = "SQUEEZED_GPUS"
"""Tells a job how many GPUs the workflow gave it (`device.resolve_device` reads it)."""

MACHINE_VARIABLE = "SQUEEZED_MACHINE_HAS_GPU"
"""`1` or `0`: what the process that started the run found. Its jobs inherit it: a node of a cluster
must not decide anew by what it happens to have."""


def runs_on_gpu(setting: str, results: Iterable[Path]) -> bool:
    """Decide whether an experiment's jobs ask for a GPU.

    Args:
        setting: the experiment's `device`: `cpu`, `cuda` or `auto`.
        results: result files that the experiment may have already, in any order. Where `auto` was
            decided for one of them, that decision stands: a half-made table is finished on the
            device on which it was begun.
    """
    if setting != "auto":
        return setting == "cuda"
    for path in sorted(results):
        recorded = _device_decided_for(path)
        if recorded is not None:
            return recorded.startswith("cuda")
    if MACHINE_VARIABLE not in os.environ:
        os.environ[MACHINE_VARIABLE] = str(int(machine_has_gpu()))
    return os.environ[MACHINE_VARIABLE] == "1"


def machine_has_gpu() -> bool:
    """Ask whether PyTorch would see a GPU, without importing it where the driver is absent."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    # A driver may be there and too old, or without a card: only PyTorch itself knows.
    answer = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.cuda.is_available())"],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() == "True"


def _device_decided_for(path: Path) -> str | None:
    """Return the device in a result's provenance if it was made with `device: auto`."""
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))["provenance"]
        if provenance["settings"]["device"] == "auto":
            return str(provenance["device"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no such result, or one that says nothing: no decision
    return None
