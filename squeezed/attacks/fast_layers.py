"""Layers that compute what others do, in less time where only the image's gradient is wanted."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

ADJACENT = 4
"""Columns whose gradient is computed together: four of three channels fit in 16 numbers."""


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


class Cast(nn.Module):
    """Hand on numbers in another precision."""

    def __init__(self, dtype: torch.dtype) -> None:
        """Keep the precision."""
        super().__init__()
        self.dtype = dtype

    def forward(self, values: Tensor) -> Tensor:
        """Cast values of any shape."""
        return values.to(self.dtype)


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
