"""torchvision's classification models by name. It takes seconds to import: only where needed."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from squeezed.foundation.errors import UserError, first_line

WITH_AUXILIARY = ("googlenet", "inception_v3")
"""What torchvision trains with further heads, and scales its images for, unless told otherwise."""


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

    arguments = {**_usual_arguments(name, image_size), **arguments}
    _refuse_misfit(
        sketch(name, {"num_classes": num_classes, **arguments}), name, num_classes, image_size
    )
    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **arguments)
    for module in network.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 (no attribute of every module)
    return network


def sketch(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a model without weights, which costs nothing where it can be done.

    Raises:
        UserError: if there is no such model, or it takes other arguments.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}? Choose" if near else "choose"
        raise UserError(
            f"there is no architecture {name!r}; {hint} vgg6, resnet_cifar or one of torchvision's "
            f"classification models: {', '.join(known)}"
        )
    try:
        try:
            with torch.device("meta"):
                drawn: nn.Module = models.get_model(name, weights=None, **arguments)
        except NotImplementedError:  # RegNets compute their widths with tensors
            drawn = models.get_model(name, weights=None, **arguments).to("meta")
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"architecture {name}: {first_line(error)}") from error
    return drawn


def _usual_arguments(name: str, image_size: tuple[int, int]) -> dict[str, Any]:
    """Return what an architecture needs to give logits alone, and to take images of this size."""
    if name in WITH_AUXILIARY:
        return {"aux_logits": False, "transform_input": False, "init_weights": True}
    if name.startswith("vit_"):
        return {"image_size": image_size[0]}
    if name.startswith("maxvit"):
        return {"input_size": tuple(image_size)}
    return {}


def imagenet_state(name: str, arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return torchvision's best ImageNet weights of a model, downloaded once and checked.

    Raises:
        UserError: if it has none, or there is no network, or `arguments` are not those that the
            weights were trained with.
    """
    from torchvision import models

    if name in WITH_AUXILIARY and not arguments.get("transform_input"):
        raise UserError(
            f"the ImageNet weights of {name} see images in [−1, 1]: set the architecture's "
            "`arguments` to {transform_input: true}"
        )
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
