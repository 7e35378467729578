"""Algorithm 2 of the paper: remove the last convolutions, retrain the fully connected layers."""

import copy
import math

import torch
from torch import nn

from squeezed.networks.ablated import remove_last_convolutions
from squeezed.networks.classifier import Classifier


def ablate_convolutions(
    model: Classifier, count: int, image_size: tuple[int, int], seed: int
) -> tuple[Classifier, list[str]]:
    """Return a copy without its last `count` convolutions, and the names of what to retrain.

    All that stays keeps its weights; a first fully connected layer that had to be reshaped gets
    new ones.

    Args:
        model: left as it is.
        count: how many convolutions to remove.
        image_size: height and width of the network's images.
        seed: of the reshaped layer's weights.

    Returns:
        The ablated model, and the parameters of its fully connected layers: all others stay
        frozen in the recovery.

    Raises:
        UserError: see `squeezed.networks.ablated.remove_last_convolutions`.
    """
    ablated = copy.deepcopy(model)
    reshaped = remove_last_convolutions(ablated.network, count, image_size)
    if reshaped:
        layer = ablated.network.get_submodule(reshaped)
        assert isinstance(layer, nn.Linear)
        _draw_weights(layer, torch.Generator().manual_seed(seed))
    trained = [
        f"{name}.{parameter}"
        for name, module in ablated.network.named_modules()
        if isinstance(module, nn.Linear)
        for parameter, _ in module.named_parameters()
    ]
    return ablated, trained


def _draw_weights(layer: nn.Linear, generator: torch.Generator) -> None:
    """He's normal initialisation, biases zero (He et al. 2015), as for the baseline."""
    with torch.no_grad():
        layer.weight.normal_(0, math.sqrt(2 / layer.in_features), generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
