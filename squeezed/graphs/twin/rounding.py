"""Rounding to a grid of numbers, with a gradient that passes straight through or is zero.

Computed as ONNX defines it (true division, half to even), which torch.fake_quantize is not: it
multiplies by the reciprocal, and takes 2 to 5 times as long on a processor.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

ONE_BYTE = 255
"""The highest integer of DynamicQuantizeLinear, whose lowest is 0."""


class _StraightThrough(torch.autograd.Function):
    """Round to the grid; the derivative is 1 inside its range and 0 outside."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        scale: torch.Tensor,
        zero_point: torch.Tensor | None,
        low: float,
        high: float,
    ) -> torch.Tensor:
        integers = _integers(x, scale, zero_point)
        ctx.save_for_backward(integers)
        # Halves, for the derivative of this clamp is zero on the bounds, too.
        ctx.low, ctx.high = low - 0.5, high + 0.5
        return _dequantized(integers.clamp(low, high), scale, zero_point)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        # A quarter of the time of a comparison and a product with what is true.
        (integers,) = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(gradient, integers, ctx.low, ctx.high)
        return inside, None, None, None, None


def _integers(
    x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor | None
) -> torch.Tensor:
    rounded = torch.div(x, scale).round_()
    return rounded if zero_point is None else rounded.add_(zero_point)


def _dequantized(
    integers: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor | None
) -> torch.Tensor:
    """Return the numbers that integers stand for, in their place."""
    return (integers if zero_point is None else integers.sub_(zero_point)).mul_(scale)


class _Rounding(nn.Module):
    """What is common to the rounding modules."""

    straight_through: bool = True
    """Whether gradients pass as if nothing had been rounded; else they are the true ones: zero."""

    def _round(
        self,
        x: torch.Tensor,
        scale: torch.Tensor,
        zero_point: torch.Tensor | None,
        low: float,
        high: float,
    ) -> torch.Tensor:
        """Round to integers from `low` to `high`; None is a zero point of 0."""
        if self.straight_through and torch.is_grad_enabled() and x.requires_grad:
            result: torch.Tensor = _StraightThrough.apply(x, scale, zero_point, low, high)
            return result
        integers = _integers(x.detach(), scale, zero_point).clamp_(low, high)
        rounded = _dequantized(integers, scale, zero_point)
        if torch.is_grad_enabled() and x.requires_grad:  # a gradient all the same, which is zero
            return rounded + 0 * x
        return rounded


class FakeQuantize(_Rounding):
    """The nearest number of a fixed grid: QuantizeLinear and DequantizeLinear in one."""

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(
        self, scale: torch.Tensor, zero_point: torch.Tensor, quant_min: int, quant_max: int
    ) -> None:
        """Hold the grid (q − zero_point) · scale of the integers q from quant_min to quant_max.

        Args:
            scale: > 0, float32, of a shape that broadcasts to the input's.
            zero_point: integers as float32, of the scale's shape.
            quant_min: lowest integer.
            quant_max: highest integer.
        """
        super().__init__()
        self.quant_min, self.quant_max = quant_min, quant_max
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)
        # A single zero point is taken off the bounds, not added to and off each number.
        self.offset = float(zero_point) if zero_point.numel() == 1 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the numbers of the grid that are nearest to `x`."""
        if self.offset is None:
            return self._round(x, self.scale, self.zero_point, self.quant_min, self.quant_max)
        low, high = self.quant_min - self.offset, self.quant_max - self.offset
        return self._round(x, self.scale, None, low, high)

    def extra_repr(self) -> str:
        """Return the range and, where there is only one, the scale."""
        scale = f"{self.scale.item():.4g}" if self.scale.numel() == 1 else "of each channel"
        return f"{self.quant_min}…{self.quant_max}, scale {scale}"


class DynamicFakeQuantize(_Rounding):
    """The nearest number of 256 that span the input's own range: DynamicQuantizeLinear."""

    range_of_each_image: bool = False
    """Whether each image has the range of its own values; else the range is the whole batch's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the numbers of the grid that are nearest to `x`."""
        scale, zero_point = dynamic_grid(x.detach(), self.range_of_each_image)
        return self._round(x, scale, zero_point, 0, ONE_BYTE)


def dynamic_grid(
    x: torch.Tensor, range_of_each_image: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return DynamicQuantizeLinear's scale and zero point (as a floating-point number)."""
    if range_of_each_image:
        lowest, highest = torch.aminmax(x.flatten(1), dim=1)
        shape = (-1, *[1] * (x.dim() - 1))
        lowest, highest = lowest.view(shape), highest.view(shape)
    else:
        lowest, highest = torch.aminmax(x)
    lowest, highest = lowest.clamp(max=0), highest.clamp(min=0)
    scale = (highest - lowest) / ONE_BYTE
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero_point = (-lowest / scale).round().clamp(0, ONE_BYTE)
    return scale, zero_point


def dynamic_scale(x: torch.Tensor) -> torch.Tensor:
    """Return DynamicQuantizeLinear's scale, a scalar."""
    return dynamic_grid(x.detach())[0]


def dynamic_zero_point(x: torch.Tensor) -> torch.Tensor:
    """Return DynamicQuantizeLinear's zero point, a scalar, as a floating-point number."""
    return dynamic_grid(x.detach())[1]


def is_rounded(module: nn.Module) -> bool:
    """Whether a module rounds anywhere, so that its true gradient is zero almost everywhere."""
    return any(isinstance(part, _Rounding) for part in module.modules())


@contextmanager
def gradient_of_rounding(module: nn.Module) -> Iterator[None]:
    """Let gradients be the true ones inside the block: rounding's derivative is zero."""
    roundings = [part for part in module.modules() if isinstance(part, _Rounding)]
    before = [part.straight_through for part in roundings]
    for part in roundings:
        part.straight_through = False
    try:
        yield
    finally:
        for part, straight_through in zip(roundings, before, strict=True):
            part.straight_through = straight_through
