"""Layers as two in a row with a narrow middle: the structure of a low-rank network.

- Fully connected: inputs → rank → outputs.
- 1×1 convolution: the same, over the channels of each pixel.
- k×l convolution: k×1 and then 1×l (Jaderberg, Vedaldi, Zisserman 2014, scheme 2).
"""

from collections.abc import Mapping

from torch import nn

from squeezed.networks.surgery import replace_module


def split_layers(network: nn.Module, ranks: Mapping[str, int]) -> None:
    """Replace layers by two in a row, named `0` and `1` inside of theirs, with random weights.

    Args:
        network: changed in place.
        ranks: how many channels are between the two, by the name of the layer.

    Raises:
        ValueError: if a layer cannot be split, or a rank is below 1 or above the full one.
        AttributeError: if there is no such module.
    """
    for name, rank in ranks.items():
        layer = network.get_submodule(name)
        if not 1 <= rank <= full_rank(layer):
            raise ValueError(f"{name} cannot be split at rank {rank}")
        replace_module(network, name, _pair(layer, rank))


def can_be_split(layer: nn.Module) -> bool:
    """Tell whether a layer is one that can be split: no grouped convolution, no odd padding."""
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and not isinstance(layer.padding, str)
    return isinstance(layer, nn.Linear)


def full_rank(layer: nn.Module) -> int:
    """Return the highest rank that a layer can have; 0 if it cannot be split."""
    if not can_be_split(layer):
        return 0
    if isinstance(layer, nn.Linear):
        return min(layer.in_features, layer.out_features)
    assert isinstance(layer, nn.Conv2d)
    height, width = layer.kernel_size
    return min(layer.in_channels * height, layer.out_channels * width)


def _pair(layer: nn.Module, rank: int) -> nn.Sequential:
    if isinstance(layer, nn.Linear):
        return nn.Sequential(
            nn.Linear(layer.in_features, rank, bias=False),
            nn.Linear(rank, layer.out_features, bias=layer.bias is not None),
        )
    assert isinstance(layer, nn.Conv2d)
    assert not isinstance(layer.padding, str)
    (height, width), (down, right) = layer.kernel_size, layer.stride
    (above, beside), (far_down, far_right) = layer.padding, layer.dilation
    if layer.kernel_size == (1, 1):
        # Only the first one looks at pixels: the same function, and less to compute.
        first_stride, second_stride = (down, right), (1, 1)
        first_padding, second_padding = (above, beside), (0, 0)
    else:
        first_stride, second_stride = (down, 1), (1, right)
        first_padding, second_padding = (above, 0), (0, beside)
    return nn.Sequential(
        nn.Conv2d(
            layer.in_channels,
            rank,
            (height, 1),
            first_stride,
            first_padding,
            (far_down, 1),
            bias=False,
            padding_mode=layer.padding_mode,
        ),
        nn.Conv2d(
            rank,
            layer.out_channels,
            (1, width),
            second_stride,
            second_padding,
            (1, far_right),
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
        ),
    )
