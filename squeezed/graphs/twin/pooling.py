"""Pooling and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.layers import explicit_pad, pads_of, spatial
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Call, Value

MAX_POOLS: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOLS: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


class Window:
    """Where a pooling's windows lie, along each spatial axis."""

    def __init__(self, build: Builder, call: Call, x: Value) -> None:
        """Read a pooling's attributes."""
        self.size = spatial(build, call, x)
        self.kernel = call.get("kernel_shape")
        count = len(self.kernel)
        self.strides = call.get("strides") or [1] * count
        self.dilations = call.get("dilations") or [1] * count
        self.pads = pads_of(call, self.size, self.kernel)
        self.ceil = bool(call.get("ceil_mode", 0)) and call.get("auto_pad", "NOTSET") == "NOTSET"
        self.reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]

    @property
    def output(self) -> list[int]:
        """How many windows there are; with ceil, none begins in the padding at the end."""
        counts = []
        for length, (before, after), stride, reach in zip(
            self.size, self.pads, self.strides, self.reach, strict=True
        ):
            steps = (length + before + after - reach) / stride
            count = (math.ceil(steps) if self.ceil else math.floor(steps)) + 1
            if self.ceil and (count - 1) * stride >= length + before:
                count -= 1
            counts.append(count)
        return counts

    @property
    def needed(self) -> list[tuple[int, int]]:
        """The padding that makes room for all windows and nothing more, without ceil."""
        return [
            (before, (count - 1) * stride + reach - length - before)
            for length, (before, _), stride, reach, count in zip(
                self.size, self.pads, self.strides, self.reach, self.output, strict=True
            )
        ]

    @property
    def plain(self) -> bool:
        """Whether torch's layers pad like this: on both sides, by half a window at most."""
        return all(a == b and 2 * a <= k for (a, b), k in zip(self.pads, self.kernel, strict=True))


@operator("MaxPool")
def max_pool(build: Builder, call: Call) -> Value:
    """The highest number of each window."""
    if len(call.outputs) > 1 and call.outputs[1]:
        raise UserError(f"the twin knows no MaxPool that returns indices ({call})")
    x, window = call[0], Window(build, call, call[0])
    count = len(window.kernel)
    padding, ceil = [before for before, _ in window.pads], window.ceil
    if not window.plain:
        x, padding, ceil = (
            explicit_pad(build, call, x, window.needed, -math.inf),
            [0] * count,
            False,
        )
    module = MAX_POOLS[count](
        tuple(window.kernel),
        tuple(window.strides),
        tuple(padding),
        tuple(window.dilations),
        ceil_mode=ceil,
    )
    return build.module(call, module, x)


@operator("AveragePool")
def average_pool(build: Builder, call: Call) -> Value:
    """The mean of each window, with or without the padding."""
    x, window = call[0], Window(build, call, call[0])
    count, counts_pads = len(window.kernel), bool(call.get("count_include_pad", 0))
    if window.plain and all(d == 1 for d in window.dilations):
        module = AVERAGE_POOLS[count](
            tuple(window.kernel),
            tuple(window.strides),
            tuple(before for before, _ in window.pads),
            ceil_mode=window.ceil,
            count_include_pad=counts_pads,
        )
        return build.module(call, module, x)
    return build.module(call, UnevenAveragePool(window, counts_pads), x)


class UnevenAveragePool(nn.Module):
    """Average pooling with padding or dilation that torch's layers have not."""

    share: torch.Tensor

    def __init__(self, window: Window, count_include_pad: bool) -> None:
        """Hold where the windows lie and what each number counts."""
        super().__init__()
        self.needed, self.strides, self.output = window.needed, window.strides, window.output
        self.kernel, self.dilations = window.kernel, window.dilations
        numbers = []
        for length, (before, after), stride, dilation, kernel, count in zip(
            window.size,
            window.pads,
            window.strides,
            window.dilations,
            window.kernel,
            window.output,
            strict=True,
        ):
            places = np.arange(count)[:, None] * stride + np.arange(kernel) * dilation - before
            low, high = (-before, length + after) if count_include_pad else (0, length)
            numbers.append(((places >= low) & (places < high)).sum(1))
        whole = numbers[0]
        for row in numbers[1:]:
            whole = whole[..., None] * row
        self.register_buffer("share", torch.tensor(1 / np.maximum(whole, 1), dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the means of the windows of `x` (n, channels, ...)."""
        flat = [amount for pair in reversed(self.needed) for amount in pair]
        x = nn.functional.pad(x, flat)
        for axis, (size, step, dilation, count) in enumerate(
            zip(self.kernel, self.strides, self.dilations, self.output, strict=True)
        ):
            whole = torch.zeros(())
            for k in range(size):
                start = k * dilation
                ends = start + (count - 1) * step + 1
                part = x[(slice(None),) * (axis + 2) + (slice(start, ends, step),)]
                whole = part if k == 0 else whole + part
            x = whole
        return x * self.share


@operator("LpPool")
def lp_pool(build: Builder, call: Call) -> Value:
    """The p-norm of each window."""
    x, window, p = call[0], Window(build, call, call[0]), call.get("p", 2)
    return build.module(call, LpPool(window, p), x)


class LpPool(nn.Module):
    """The p-norm of each window."""

    def __init__(self, window: Window, p: int) -> None:
        """Hold where the windows lie."""
        super().__init__()
        self.p, self.total = p, UnevenAveragePool(window, True)
        self.total.share.fill_(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the norms of the windows of `x` (n, channels, ...)."""
        result: torch.Tensor = self.total(x.abs() ** self.p) ** (1 / self.p)
        return result


@operator("GlobalAveragePool")
def global_average_pool(build: Builder, call: Call) -> Value:
    """The mean of each channel."""
    x = call[0]
    if x.rank == 4:
        return build.module(call, nn.AdaptiveAvgPool2d(1), x)
    return build.function(call, torch.mean, x, list(range(2, x.rank)), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(build: Builder, call: Call) -> Value:
    """The highest number of each channel."""
    x = call[0]
    if x.rank == 4:
        return build.module(call, nn.AdaptiveMaxPool2d(1), x)
    return build.function(call, torch.amax, x, list(range(2, x.rank)), keepdim=True)


@operator("GlobalLpPool")
def global_lp_pool(build: Builder, call: Call) -> Value:
    """The p-norm of each channel."""
    x = call[0]
    axes = list(range(2, x.rank))
    return build.function(call, torch.linalg.vector_norm, x, call.get("p", 2), axes, keepdim=True)


# ---------------------------------------------------------------------- reductions


def sum_of_squares(x: torch.Tensor, axes: list[int], keepdim: bool) -> torch.Tensor:
    """Return the sum of squares."""
    return (x * x).sum(axes, keepdim=keepdim)


def norm_1(x: torch.Tensor, axes: list[int], keepdim: bool) -> torch.Tensor:
    """Return the sum of absolute numbers."""
    return x.abs().sum(axes, keepdim=keepdim)


def norm_2(x: torch.Tensor, axes: list[int], keepdim: bool) -> torch.Tensor:
    """Return the Euclidean norm."""
    return (x * x).sum(axes, keepdim=keepdim).sqrt()


def log_of_sum(x: torch.Tensor, axes: list[int], keepdim: bool) -> torch.Tensor:
    """Return the logarithm of the sum."""
    return x.sum(axes, keepdim=keepdim).log()


def product(x: torch.Tensor, axes: list[int], keepdim: bool) -> torch.Tensor:
    """Return the product."""
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceMean": torch.mean,
    "ReduceSum": torch.sum,
    "ReduceMax": torch.amax,
    "ReduceMin": torch.amin,
    "ReduceProd": product,
    "ReduceL1": norm_1,
    "ReduceL2": norm_2,
    "ReduceLogSum": log_of_sum,
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceSumSquare": sum_of_squares,
}


@operator(*_REDUCTIONS)
def reduce(build: Builder, call: Call) -> Value:
    """Reduce some axes, or all."""
    x, axes, keep = call[0], call.setting("axes", 1), bool(call.get("keepdims", 1))
    noop = bool(call.get("noop_with_empty_axes", 0))
    if not axes and noop:
        return build.alias(x)
    axes = sorted(axis % x.rank for axis in axes) if axes else list(range(x.rank))
    if call.op == "ReduceMean" and x.rank == 4 and axes == [2, 3] and keep:
        return build.module(call, nn.AdaptiveAvgPool2d(1), x)
    return build.function(call, _REDUCTIONS[call.op], x, axes, keep)


@operator("ArgMax", "ArgMin")
def argument(build: Builder, call: Call) -> Value:
    """The place of the highest or lowest number."""
    x, axis, keep = call[0], call.get("axis", 0), bool(call.get("keepdims", 1))
    if call.get("select_last_index", 0):
        return build.function(call, last_argument, x, axis, keep, call.op == "ArgMax")
    return build.function(
        call, {"ArgMax": torch.argmax, "ArgMin": torch.argmin}[call.op], x, axis, keep
    )


def last_argument(x: torch.Tensor, axis: int, keepdim: bool, highest: bool) -> torch.Tensor:
    """Return the last place of the highest or lowest number."""
    x = x.flip(axis)
    return x.shape[axis] - 1 - (x.argmax(axis, keepdim) if highest else x.argmin(axis, keepdim))
