"""The same function with less memory traffic, for a network that is evaluated very often."""

from itertools import pairwise

from torch import nn


def streamline(network: nn.Module) -> None:
    """Rearrange ReLUs inside each `nn.Sequential` of `network`, in place.

    ReLU and max pooling change places, where they follow each other: the largest value is the same
    and so is the gradient, but a quarter of the values is left to look at. A ReLU after a layer
    that does not need its own output for the gradient works in place.
    """
    for module in list(network.modules()):
        if type(module) is nn.Sequential:
            layers = [layer for layer in module if not isinstance(layer, nn.Identity)]
            for i in range(1, len(layers)):
                if type(layers[i]) is nn.MaxPool2d and type(layers[i - 1]) is nn.ReLU:
                    layers[i - 1], layers[i] = layers[i], nn.ReLU()
            for before, layer in pairwise(layers):
                if type(layer) is nn.ReLU and type(before) in (nn.Conv2d, nn.Linear, nn.MaxPool2d):
                    layer.inplace = True
            for name in [name for name, _ in module.named_children()]:
                delattr(module, name)
            for i, layer in enumerate(layers):
                module.add_module(str(i), layer)
