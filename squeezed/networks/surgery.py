"""Find, replace and remove modules inside a network; all other names stay as they are."""

import torch
from torch import nn


def replace_module(network: nn.Module, name: str, replacement: nn.Module) -> None:
    """Put `replacement` where `network.get_submodule(name)` was.

    Raises:
        AttributeError: if there is no such module.
    """
    parent_name, _, own_name = name.rpartition(".")
    parent = network.get_submodule(parent_name)
    parent.get_submodule(own_name)
    setattr(parent, own_name, replacement)


def remove_module(network: nn.Module, name: str) -> None:
    """Take a module out of the `nn.Sequential` that holds it; its neighbours keep their names."""
    parent_name, _, own_name = name.rpartition(".")
    delattr(network.get_submodule(parent_name), own_name)


def output_layer(network: nn.Module, image_size: tuple[int, int]) -> nn.Module:
    """Return the convolution or fully connected layer that is called last: it gives the logits."""
    called: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: called.append(module))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, *image_size))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return called[-1]
