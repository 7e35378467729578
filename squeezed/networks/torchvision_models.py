"""torchvision's classification models by name. It takes seconds to import: only where needed."""

from collections.abc import Mapping
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from squeezed.foundation.errors import UserError, first_line


def build_torchvision_model(
    name: str, num_classes: int, image_size: tuple[int, int], arguments: Mapping[str, Any]
) -> nn.Module:
    """Build a classification model of torchvision with random weights.

    Activations write to new memory, not into their input: attribution methods need what torchvision
    would overwrite.

    Raises:
        UserError: if there is no such model, or it takes other arguments or images, or it gives
            more than one tensor of logits.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UserError(
            f"there is no architecture {name!r}; choose vgg6 or one of torchvision's "
            f"classification models: {', '.join(known)}"
        )
    try:
        with torch.device("meta"):
            sketch = models.get_model(name, weights=None, num_classes=num_classes, **arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"architecture {name}: {first_line(error)}") from error
    _refuse_misfit(sketch, name, num_classes, image_size)
    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **arguments)
    for module in network.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 (no attribute of every module)
    return network


def imagenet_state(name: str) -> dict[str, Tensor]:
    """Return torchvision's best ImageNet weights of a model, downloaded once and checked.

    Raises:
        UserError: if it has none, or there is no network.
    """
    from torchvision import models

    try:
        weights = models.get_model_weights(name).DEFAULT
    except (ValueError, AttributeError) as error:
        raise UserError(f"torchvision has no ImageNet weights for architecture {name!r}") from error
    try:
        state: dict[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True, map_location="cpu"
        )
    except (URLError, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"{weights.url} cannot be downloaded ({getattr(error, 'reason', error)}): check the "
            "network, or set the architecture's `weights` to a copy of yours"
        ) from error
    except RuntimeError as error:  # its hash does not match
        raise UserError(f"{weights.url} cannot be used: {first_line(error)}") from error
    return state


def _refuse_misfit(
    sketch: nn.Module, name: str, num_classes: int, image_size: tuple[int, int]
) -> None:
    """Send images without content through a model without weights: costs nothing."""
    images = torch.empty(2, 3, *image_size, device="meta")
    try:
        logits = sketch.train()(images)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f"architecture {name} cannot take images of {image_size[0]}×{image_size[1]}: "
            f"{first_line(error)}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, num_classes):
        raise UserError(
            f"architecture {name} gives more than logits in training: build it without its "
            "auxiliary outputs (`arguments: {aux_logits: false}`), or choose another"
        )
