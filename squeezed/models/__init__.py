"""The architectures, by name."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from squeezed.data.dataset import Dataset
from squeezed.errors import UserError
from squeezed.models.classifier import Classifier
from squeezed.models.vgg6 import VGG6, initialise_vgg6

__all__ = ["VGG6", "Classifier", "build_network", "create_classifier"]


def build_network(
    architecture: str,
    *,
    num_classes: int,
    image_size: tuple[int, int],
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a network with random weights: it maps normalised images to logits.

    Args:
        architecture: `vgg6`, or the name of a torchvision classification model.
        num_classes: number of outputs.
        image_size: height and width of the images.
        arguments: further arguments of the architecture, such as `widths`.

    Raises:
        UserError: if there is no such architecture, or it does not take these arguments.
    """
    if architecture == "vgg6":
        try:
            return VGG6(num_classes, image_size, **(arguments or {}))
        except TypeError as error:
            raise UserError(f"architecture vgg6: {error}") from error
    raise UserError(f"there is no architecture {architecture!r}; choose vgg6")


def create_classifier(
    architecture: Mapping[str, Any], dataset: Dataset, *, seed: int
) -> Classifier:
    """Build the classifier that a baseline's training starts from.

    Args:
        architecture: an experiment's `architecture` section: `name`, `arguments`.
        dataset: gives the number of classes, the image size and the normalisation.
        seed: of the initial weights.

    Raises:
        UserError: if there is no such architecture, or it does not fit the data set.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(
            architecture["name"],
            num_classes=len(dataset.class_names),
            image_size=dataset.image_size,
            arguments=architecture["arguments"],
        )
    if isinstance(network, VGG6):
        initialise_vgg6(network, torch.Generator().manual_seed(seed))
    return Classifier(network, dataset.mean, dataset.std)
