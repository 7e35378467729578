"""What every step is given beside its parent, and what it gives back."""

from __future__ import annotations

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


@dataclass
class MadeGraph:
    """What a step from graph to graph made."""

    graph: onnx.ModelProto
    metrics: dict[str, Any]
    """Exact and flat."""
