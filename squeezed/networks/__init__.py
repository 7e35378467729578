"""The architectures, by name."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from squeezed.data.dataset import Dataset
from squeezed.foundation.errors import UserError
from squeezed.networks.classifier import Classifier
from squeezed.networks.pretrained import load_weights, read_state
from squeezed.networks.vgg6 import VGG6, initialise_vgg6

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
    from squeezed.networks.torchvision_models import build_torchvision_model

    return build_torchvision_model(architecture, num_classes, image_size, arguments or {})


def create_classifier(
    architecture: Mapping[str, Any], dataset: Dataset, *, seed: int
) -> Classifier:
    """Build the classifier that a baseline's training starts from.

    Args:
        architecture: an experiment's `architecture` section: `name`, `arguments`, `weights`.
        dataset: gives the number of classes, the image size and the normalisation.
        seed: of the initial weights.

    Raises:
        UserError: if there is no such architecture, it does not fit the data set, or its pretrained
            weights cannot be had or do not fit.
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
    weights = architecture["weights"]
    if weights is not None:
        load_weights(network, _pretrained_state(architecture["name"], weights), weights)
    return Classifier(network, dataset.mean, dataset.std)


def _pretrained_state(architecture: str, weights: str) -> dict[str, Tensor]:
    if weights != "imagenet":
        return read_state(weights)
    if architecture == "vgg6":
        raise UserError("vgg6 has no ImageNet weights: set the architecture's `weights` to a path")
    from squeezed.networks.torchvision_models import imagenet_state

    return imagenet_state(architecture)
