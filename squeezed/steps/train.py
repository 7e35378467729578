"""The step `train`: from random or pretrained weights, or on from a parent's."""

import copy
from collections.abc import Mapping
from typing import Any

from squeezed.data.dataset import Dataset
from squeezed.networks import create_classifier
from squeezed.networks.classifier import Classifier
from squeezed.networks.network_file import NetworkCard
from squeezed.steps.network_step import MadeNetwork, train_in
from squeezed.steps.step import Workshop
from squeezed.training.settings import TrainingSettings


def train(
    parent: Classifier | None,
    card: NetworkCard | None,
    settings: TrainingSettings,
    workshop: Workshop,
) -> MadeNetwork:
    """Train a network.

    Args:
        parent: whose weights to go on from, as the control for what a recovery alone does; it is
            left as it is. None for a baseline, which the workshop's architecture describes.
        card: describes `parent`.
        settings: of the training; without epochs the weights are taken as they are.
        workshop: the data, seed and machine.

    Raises:
        UserError: see `squeezed.networks.create_classifier`, `squeezed.training.processes.train`.
    """
    if parent is not None and card is not None:
        made = MadeNetwork(copy.deepcopy(parent), card)
    else:
        architecture, dataset = workshop.architecture, workshop.dataset
        assert architecture is not None
        trained = settings.epochs > 0
        model = create_classifier(architecture, dataset, seed=workshop.seed, trained=trained)
        made = MadeNetwork(model, card_of(architecture, dataset, workshop.seed))
    made.training = train_in(workshop, made.model, made.card, settings)
    return made


def card_of(architecture: Mapping[str, Any], dataset: Dataset, seed: int) -> NetworkCard:
    """Describe an architecture for a data set, before any edit."""
    return NetworkCard(
        architecture=architecture["name"],
        arguments=dict(architecture["arguments"]),
        image_size=dataset.image_size,
        class_names=list(dataset.class_names),
        mean=list(dataset.mean),
        std=list(dataset.std),
        variant="",
        seed=seed,
    )
