"""What every step is given beside its parent, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from squeezed.data.dataset import Dataset

if TYPE_CHECKING:  # a step that takes and makes a graph loads no torch
    import onnx


@dataclass(frozen=True)
class Workshop:
    """What a job gives a step beside its parent and its settings."""

    dataset: Dataset
    seed: int
    device: str
    """cpu, cuda or auto."""
    threads: int
    resume_path: Path | None
    """Where a training may keep its state."""
    architecture: Mapping[str, Any] | None = None
    """The experiment's section, which a baseline is made of: `name`, `arguments`, `weights`."""


@dataclass
class MadeGraph:
    """What a step from graph to graph made."""

    graph: onnx.ModelProto
    metrics: dict[str, Any]
    """Exact and flat."""
