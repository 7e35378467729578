"""What every step is given and what it returns."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from squeezed.data.dataset import Dataset
from squeezed.networks.classifier import Classifier
from squeezed.networks.edits import Edit
from squeezed.networks.network_file import NetworkCard
from squeezed.training.loop import TrainingResult
from squeezed.training.processes import train
from squeezed.training.settings import TrainingSettings


@dataclass(frozen=True)
class Workshop:
    """What a job gives a step, beside its parent and its settings."""

    dataset: Dataset
    seed: int
    device: str
    """`cpu`, `cuda` or `auto`."""
    threads: int
    resume_path: Path | None

    def train(
        self, model: Classifier, card: NetworkCard, settings: TrainingSettings, **options: Any
    ) -> TrainingResult:
        """Train `model` here; `options` are further ones of `squeezed.training.processes.train`."""
        return train(
            model,
            self.dataset,
            settings,
            card=card,
            seed=self.seed,
            device=self.device,
            threads=self.threads,
            resume_path=self.resume_path,
            **options,
        )


@dataclass
class MadeNetwork:
    """A network that a step made, and how it came about."""

    model: Classifier
    card: NetworkCard
    """Describes the structure of `model`: the parent's with the step's edits after its own, or that
    of another architecture. Who stores it says whose variant it is (`described`)."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Exact and flat, for the result; the training's own are not among them."""
    training: TrainingResult | None = None

    def described(
        self, *, variant: str, seed: int, recipe: Mapping[str, Any], parents: Mapping[str, str]
    ) -> NetworkCard:
        """Return the card for this network's file."""
        return dataclasses.replace(
            self.card, variant=variant, seed=seed, recipe=dict(recipe), parents=dict(parents)
        )


@dataclass
class MadeGraph:
    """A graph that a step made, and how it came about."""

    graph: onnx.ModelProto
    metrics: dict[str, Any] = field(default_factory=dict)
    """Exact and flat, for the result."""


def edited(card: NetworkCard, *edits: Edit) -> NetworkCard:
    """Return the card of the same network with further structural edits."""
    return dataclasses.replace(card, edits=[*card.edits, *edits])
