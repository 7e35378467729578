"""The same function in less time, for a network that is evaluated and differentiated very often."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from squeezed.networks.call_graph import call_graph
from squeezed.networks.classifier import Classifier
from squeezed.networks.surgery import replace_module

ADJACENT = 4
"""Columns whose gradient is computed together: four of three channels fit in 16 numbers."""


def streamline(model: Classifier) -> None:
    """Rearrange a classifier whose batch norm is folded, in place.

    Raises:
        UserError: if torch.fx cannot trace the network.
    """
    _rearrange_relus(model.network)
    readers = _image_convolutions(model.network)
    if readers:
        _absorb_deviation(model, list(readers.values()))
    for name, convolution in readers.items():
        if ImageConvolution.can_wrap(convolution):
            replace_module(model.network, name, ImageConvolution(convolution))
    for name, module in list(model.network.named_modules()):
        if type(module) is nn.Flatten:
            replace_module(model.network, name, Flatten(module.start_dim, module.end_dim))


class Centre(nn.Module):
    """Subtract a mean from each channel."""

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        """Keep `mean`, shape (1, C, 1, 1), as a buffer."""
        super().__init__()
        self.register_buffer("mean", mean.clone(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Centre images of shape (n, C, H, W)."""
        return images - self.mean


class ImageConvolution(nn.Module):
    """A convolution that computes the gradient of `ADJACENT` columns of its input in one product.

    Processors compute 16 channels at a time, or 8; the gradient of an image fills three of them. So
    adjacent columns become channels: a convolution with a stride of that many columns, in whose
    kernel the given one stands once for each column, each time a place further.
    """

    gradient_weight: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        """Wrap `convolution`, of which `can_wrap` must be true."""
        super().__init__()
        self.convolution = convolution
        flipped = convolution.weight.detach().flip(2, 3).transpose(0, 1)
        *shape, width = flipped.shape
        weight = flipped.new_zeros(ADJACENT, *shape, width + ADJACENT - 1)
        for column in range(ADJACENT):
            weight[column, ..., column : column + width] = flipped
        self.register_buffer("gradient_weight", weight.flatten(0, 1), persistent=False)
        self.gradient_padding = _gradient_padding(convolution)

    @staticmethod
    def can_wrap(convolution: nn.Conv2d) -> bool:
        """Return whether its stride is 1, and the zeros around its gradient can be counted."""
        return (
            convolution.stride == convolution.dilation == (1, 1)
            and convolution.groups == 1
            and convolution.padding_mode == "zeros"
            and not isinstance(convolution.padding, str)
            and min(_gradient_padding(convolution)) >= 0
        )

    def forward(self, images: Tensor) -> Tensor:
        """Convolve images of shape (n, C, H, W); the gradient is that of the images alone."""
        joined = images.device.type == "cpu" and images.shape[3] % ADJACENT == 0
        outputs: Tensor = (
            _GradientOfJoinedColumns.apply(images, self) if joined else self.convolution(images)
        )
        return outputs


def _gradient_padding(convolution: nn.Conv2d) -> tuple[int, int]:
    assert not isinstance(convolution.padding, str)
    (height, width), (above, beside) = convolution.kernel_size, convolution.padding
    return height - 1 - above, width - 1 - beside


class _GradientOfJoinedColumns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, layer: ImageConvolution) -> Tensor:
        ctx.layer = layer
        outputs: Tensor = layer.convolution(images)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        weight, padding = ctx.layer.gradient_weight, ctx.layer.gradient_padding
        joined = conv2d(gradient, weight, stride=(1, ADJACENT), padding=padding)
        n, _, height, width = joined.shape
        columns = joined.permute(0, 2, 3, 1).reshape(n, height, width * ADJACENT, -1)
        return columns.permute(0, 3, 1, 2), None


class Flatten(nn.Flatten):
    """Hands the gradient back channels-last: layers before it are slow with mixed layouts."""

    def forward(self, activations: Tensor) -> Tensor:
        """Flatten activations of shape (n, C, H, W)."""
        if activations.requires_grad and activations.dim() == 4:
            activations.register_hook(_channels_last)
        return super().forward(activations)


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def _image_convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Return the convolutions that read the images, by name.

    Empty if anything but plain convolutions reads them, or such a convolution is called again.
    """
    nodes = list(call_graph(network).nodes)
    calls = [
        network.get_submodule(str(node.target)) if node.op == "call_module" else None
        for node in nodes
    ]
    (images,) = (node for node in nodes if node.op == "placeholder")
    readers = {}
    for node, module in zip(nodes, calls, strict=True):
        if node not in images.users:
            continue
        if type(module) is not nn.Conv2d or module.groups > 1 or calls.count(module) > 1:
            return {}
        readers[str(node.target)] = module
    return readers


def _absorb_deviation(model: Classifier, readers: list[nn.Conv2d]) -> None:
    """Move the normalisation's division into the convolutions that read the images, in place.

    The mean cannot follow it: they pad with zeros, which stand for the mean.
    """
    with torch.no_grad():
        for convolution in readers:
            convolution.weight.div_(model.normalise.std)
    model.normalise = Centre(model.normalise.mean)  # type: ignore[assignment]


def _rearrange_relus(network: nn.Module) -> None:
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
