"""What a step that makes networks returns, and how it trains."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from squeezed.networks.classifier import Classifier
from squeezed.networks.edits import Edit
from squeezed.networks.network_file import NetworkCard
from squeezed.steps.step import Workshop
from squeezed.training.loop import TrainingResult
from squeezed.training.processes import train
from squeezed.training.settings import TrainingSettings


def train_in(
    workshop: Workshop,
    model: Classifier,
    card: NetworkCard,
    settings: TrainingSettings,
    **options: Any,
) -> TrainingResult:
    """Train `model` in a workshop; `options` are further ones of `training.processes.train`."""
    return train(
        model,
        workshop.dataset,
        settings,
        card=card,
        seed=workshop.seed,
        device=workshop.device,
        threads=workshop.threads,
        resume_path=workshop.resume_path,
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


def edited(card: NetworkCard, *edits: Edit) -> NetworkCard:
    """Return the card of the same network with further structural edits."""
    return dataclasses.replace(card, edits=[*card.edits, *edits])
