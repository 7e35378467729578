"""The architectures, by name."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from squeezed.errors import UserError
from squeezed.models.classifier import Classifier
from squeezed.models.vgg6 import VGG6

__all__ = ["VGG6", "Classifier", "build_network"]


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
