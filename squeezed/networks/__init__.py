"""The architectures, by name."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from squeezed.data.dataset import Dataset
from squeezed.foundation.errors import UserError
from squeezed.networks.classifier import Classifier
from squeezed.networks.pretrained import load_weights, read_state
from squeezed.networks.resnet_cifar import ResNetCifar
from squeezed.networks.vgg6 import VGG6, initialise_vgg6

__all__ = ["VGG6", "Classifier", "build_network", "create_classifier"]


OWN: dict[str, Callable[..., nn.Module]] = {
    "vgg6": VGG6,
    # Any image size will do.
    "resnet_cifar": lambda num_classes, image_size, **arguments: ResNetCifar(
        num_classes, **arguments
    ),
}
"""The architectures that are not torchvision's."""


def build_network(
    architecture: str,
    *,
    num_classes: int,
    image_size: tuple[int, int],
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a network with random weights: it maps normalised images to logits.

    Args:
        architecture: `vgg6`, `resnet_cifar`, or the name of a torchvision classification model.
        num_classes: number of outputs.
        image_size: height and width of the images.
        arguments: further arguments of the architecture, such as `widths`.

    Raises:
        UserError: if there is no such architecture, or it does not take these arguments.
    """
    if architecture in OWN:
        try:
            return OWN[architecture](num_classes, image_size, **(arguments or {}))
        except TypeError as error:
            raise UserError(f"architecture {architecture}: {error}") from error
    from squeezed.networks.torchvision_models import build_torchvision_model

    return build_torchvision_model(architecture, num_classes, image_size, arguments or {})


def create_classifier(
    architecture: Mapping[str, Any], dataset: Dataset, *, seed: int, trained: bool = True
) -> Classifier:
    """Build the classifier that a baseline's training starts from.

    Args:
        architecture: an experiment's `architecture` section: `name`, `arguments`, `weights`.
        dataset: gives the number of classes, the image size and the normalisation.
        seed: of the initial weights.
        trained: whether training follows; if not, pretrained weights must fit to the last layer.

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
        state = _pretrained_state(architecture["name"], architecture["arguments"], weights)
        load_weights(network, state, weights, trained=trained)
    return Classifier(network, dataset.mean, dataset.std)


def _pretrained_state(
    architecture: str, arguments: Mapping[str, Any], weights: str
) -> dict[str, Tensor]:
    if weights != "imagenet":
        return read_state(weights)
    if architecture in OWN:
        raise UserError(
            f"{architecture} has no ImageNet weights: set the architecture's `weights` to a path"
        )
    from squeezed.networks.torchvision_models import imagenet_state

    return imagenet_state(architecture, arguments)
