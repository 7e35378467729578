"""Which layer a feature or a map is read at, and reading it."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from squeezed.data.dataset import Split
from squeezed.foundation.errors import UserError
from squeezed.foundation.progress import track
from squeezed.networks.classifier import Classifier

BATCH = 250


@dataclass(frozen=True)
class Layer:
    """A module of a network by its name, and whether its output or its input is meant."""

    name: str
    side: Literal["output", "input"] = "output"


def feature_layer(model: Classifier, image: Tensor, name: str | None = None) -> Layer:
    """Choose the layer whose activations describe an image (Figure 2).

    By default the first fully connected layer, after its ReLU where it has one. A network whose
    only fully connected layer gives the logits (a ResNet) is read before it.

    Args:
        model: in evaluation mode.
        image: one image, shape (1, 3, H, W), to see in which order the modules run.
        name: a module of the network, such as `classifier.1`, instead of the default.

    Raises:
        UserError: if there is no such module, or no fully connected layer to default to.
    """
    if name is not None:
        return _named_layer(model, name, "embedding.layer")
    executed = _execution_order(model, image)
    linear = [index for index, (_, module) in enumerate(executed) if _weight_dims(module) == 2]
    if not linear:
        raise UserError(
            "the network has no fully connected layer to read features at; "
            f"set embedding.layer to one of {_module_names(model)}"
        )
    if len(linear) == 1:
        return Layer(executed[linear[0]][0], "input")
    first, second = linear[:2]
    relus = [label for label, module in executed[first:second] if isinstance(module, nn.ReLU)]
    return Layer(relus[0] if relus else executed[first][0])


def map_layer(model: Classifier, image: Tensor, name: str | None = None) -> Layer:
    """Choose the layer that Grad-CAM weighs: the last convolution, after its ReLU.

    Args:
        model: in evaluation mode.
        image: one image, shape (1, 3, H, W), to see in which order the modules run.
        name: a module of the network, such as `features.14`, instead of the default.

    Raises:
        UserError: if there is no such module, or no convolution to default to.
    """
    if name is not None:
        return _named_layer(model, name, "cam.layer")
    executed = _execution_order(model, image)
    convolutions = [i for i, (_, module) in enumerate(executed) if _weight_dims(module) == 4]
    if not convolutions:
        raise UserError(
            "the network has no convolution for grad_cam; leave it out of cam.methods, "
            f"or set cam.layer to one of {_module_names(model)}"
        )
    last = convolutions[-1]
    times = Counter(label for label, _ in executed)
    for label, module in executed[last + 1 :]:
        if isinstance(module, nn.ReLU) and times[label] == 1:
            return Layer(label)
        if not isinstance(module, nn.BatchNorm2d | nn.Identity):
            break
    return Layer(executed[last][0])


def weighted_layers(model: Classifier, image: Tensor) -> list[str]:
    """Return the names of convolutions and fully connected layers in the order they run."""
    names = [label for label, module in _execution_order(model, image) if _weight_dims(module)]
    return list(dict.fromkeys(names))


@torch.no_grad()
def features_at(
    model: Classifier, layer: Layer, batches: Iterable[Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch's features, shape (n, features), and logits, shape (n, classes).

    Args:
        model: in evaluation mode.
        layer: what to read; it is flattened. Of a module that runs several times, the first.
        batches: images on the model's device, each of shape (n, 3, H, W), in [0, 1].
    """
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        # A copy: an in-place layer may write over the tensor afterwards.
        seen.append((inputs[0] if layer.side == "input" else output).flatten(1).clone())

    handle = model.network.get_submodule(layer.name).register_forward_hook(keep)
    try:
        for images in batches:
            seen.clear()
            logits = model(images)
            yield seen[0], logits
    finally:
        handle.remove()


def embed(
    model: Classifier,
    layer: Layer,
    split: Split,
    indices: NDArray[np.integer],
    device: torch.device,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the features, shape (n, features), and the predicted classes, shape (n,), of images.

    Args:
        model: in evaluation mode, on `device`.
        layer: what to read.
        split: holds the images.
        indices: which of them, and in which order.
        device: to compute on.
    """
    batches = track(
        split.batches(BATCH, indices), "images embedded", total=math.ceil(len(indices) / BATCH)
    )
    on_device = (torch.from_numpy(images).to(device) for images, _ in batches)
    features, predictions = [], []
    for part, logits in features_at(model, layer, on_device):
        features.append(part.float().cpu().numpy())
        predictions.append(logits.argmax(dim=1).cpu().numpy())
    return np.concatenate(features), np.concatenate(predictions)


def _named_layer(model: Classifier, name: str, key: str) -> Layer:
    if not name or name not in dict(model.network.named_modules()):
        raise UserError(
            f"{key} is {name!r}, but the network has no such layer; "
            f"choose one of {_module_names(model)}, or leave the key out"
        )
    return Layer(name)


def _module_names(model: Classifier) -> str:
    leaves = [name for name, module in model.network.named_modules() if not list(module.children())]
    return ", ".join(leaves)


@torch.no_grad()
def _execution_order(model: Classifier, image: Tensor) -> list[tuple[str, nn.Module]]:
    """Return every module of the network, by name, in the order in which they finish."""
    executed: list[tuple[str, nn.Module]] = []
    handles = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: executed.append((name, module))
        )
        for name, module in model.network.named_modules()
        if name
    ]
    try:
        model(image)
    finally:
        for handle in handles:
            handle.remove()
    return executed


def _weight_dims(module: nn.Module) -> int:
    """Return 2 for a fully connected layer, 4 for a convolution, quantized or not; else 0."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor) and weight.dim() in (2, 4):
        return weight.dim()
    return 0
