"""Convolutions, fully connected layers and normalisations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.modules import Pad
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Array, Call, Value, as_tensor

CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH_NORMS: dict[int, Any] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}


# ---------------------------------------------------------------------- padding


def pads_of(call: Call, size: tuple[int, ...], kernel: list[int]) -> list[tuple[int, int]]:
    """Return what a convolution or pooling adds before and after each spatial axis."""
    count = len(kernel)
    strides = call.get("strides") or [1] * count
    dilations = call.get("dilations") or [1] * count
    mode = call.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for length, k, stride, dilation in zip(size, kernel, strides, dilations, strict=True):
            needed = (math.ceil(length / stride) - 1) * stride + dilation * (k - 1) + 1 - length
            small, large = max(needed, 0) // 2, max(needed, 0) - max(needed, 0) // 2
            pads.append((small, large) if mode == "SAME_UPPER" else (large, small))
        return pads
    if mode == "VALID":
        return [(0, 0)] * count
    flat = call.get("pads") or [0] * 2 * count
    return list(zip(flat[:count], flat[count:], strict=True))


def torch_order(pads: list[tuple[int, int]]) -> Any:
    """Return pads as torch.nn.functional.pad takes them: last axis first."""
    return [amount for pair in reversed(pads) for amount in pair]


def spatial(build: Builder, call: Call, x: Value) -> tuple[int, ...]:
    """Return the height and width (or length), which must not follow the batch."""
    first, second = x.shapes
    if first[2:] != second[2:]:
        raise UserError(f"{call} works along the batch, which the twin cannot follow")
    return first[2:]


def explicit_pad(
    build: Builder, call: Call, x: Value, pads: list[tuple[int, int]], value: float = 0.0
) -> Value:
    """Write a padding layer."""
    flat = torch_order(pads)
    module = nn.ZeroPad2d(flat) if value == 0 and len(pads) == 2 else Pad(flat, value)
    padded = build.module(call, module, x, name=f"{build.name_of(call)}_pad")
    padded.nonnegative = x.nonnegative
    return padded


# ---------------------------------------------------------------------- convolution


@operator("Conv")
def conv(build: Builder, call: Call) -> Value:
    """Convolve; with kernels that are computed, by torch's function."""
    x, weight, bias = call[0], call[1], call.optional(2)
    if weight.constant and (bias is None or bias.constant):
        return convolution(build, call, x, weight.array, None if bias is None else bias.array)
    pads = pads_of(call, spatial(build, call, x), list(weight.shapes[0][2:]))
    if any(before != after for before, after in pads):
        x, pads = explicit_pad(build, call, x, pads), [(0, 0)] * len(pads)
    function = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}[len(pads)]
    return build.function(
        call,
        function,
        x,
        weight,
        bias,
        call.get("strides") or [1] * len(pads),
        [before for before, _ in pads],
        call.get("dilations") or [1] * len(pads),
        call.get("group", 1),
    )


def convolution(build: Builder, call: Call, x: Value, weight: Array, bias: Array | None) -> Value:
    """Write a convolution of constant real weights (out, in / groups, ...)."""
    kernel = list(weight.shape[2:])
    pads = pads_of(call, spatial(build, call, x), kernel)
    if any(before != after for before, after in pads):
        x, pads = explicit_pad(build, call, x, pads), [(0, 0)] * len(pads)
    groups = call.get("group", 1)
    with torch.device("meta"):
        module: Any = CONVOLUTIONS[len(kernel)](
            weight.shape[1] * groups,
            weight.shape[0],
            tuple(kernel),
            stride=tuple(call.get("strides") or [1] * len(kernel)),
            padding=tuple(before for before, _ in pads),
            dilation=tuple(call.get("dilations") or [1] * len(kernel)),
            groups=groups,
            bias=bias is not None,
        )
    return _with_weights(build, call, module, x, weight, bias)


def _with_weights(
    build: Builder, call: Call, module: Any, x: Value, weight: Array, bias: Array | None
) -> Value:
    module.weight = nn.Parameter(as_tensor(weight))
    if bias is not None:
        module.bias = nn.Parameter(as_tensor(bias))
    value = build.module(call, module, x)
    value.layer = module
    return value


@operator("ConvTranspose")
def conv_transpose(build: Builder, call: Call) -> Value:
    """Convolve transposed, cropping what ONNX counts as padding."""
    x, weight, bias = call[0], call.array(1), call.array(2)
    assert weight is not None
    kernel = list(weight.shape[2:])
    count, size = len(kernel), spatial(build, call, x)
    strides = call.get("strides") or [1] * count
    dilations = call.get("dilations") or [1] * count
    extra = call.get("output_padding") or [0] * count
    full = [
        stride * (length - 1) + dilation * (k - 1) + 1
        for length, stride, dilation, k in zip(size, strides, dilations, kernel, strict=True)
    ]
    wanted, mode = call.get("output_shape"), call.get("auto_pad", "NOTSET")
    if wanted is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [length * stride for length, stride in zip(size, strides, strict=True)]
    if wanted is not None:
        crops = []
        for whole, e, target in zip(full, extra, wanted[-count:], strict=True):
            total = whole + e - target
            small, large = total // 2, total - total // 2
            crops.append((small, large) if mode == "SAME_UPPER" else (large, small))
    else:
        crops = pads_of(call, size, kernel) if mode == "NOTSET" else [(0, 0)] * count
    groups = call.get("group", 1)
    symmetric = all(a == b >= 0 for a, b in crops) and all(
        e < max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)
    )
    with torch.device("meta"):
        module: Any = TRANSPOSED[count](
            weight.shape[0],
            weight.shape[1] * groups,
            tuple(kernel),
            stride=tuple(strides),
            padding=tuple(a for a, _ in crops) if symmetric else 0,
            output_padding=tuple(extra) if symmetric else 0,
            dilation=tuple(dilations),
            groups=groups,
            bias=bias is not None,
        )
    value = _with_weights(build, call, module, x, weight, bias)
    value.layer = None
    if not symmetric:
        edges = [(-a, e - b) for (a, b), e in zip(crops, extra, strict=True)]
        value = explicit_pad(build, call, value, edges)
    return value


# ---------------------------------------------------------------------- fully connected


def linear(build: Builder, call: Call, x: Value, weight: Array, bias: Array | None) -> Value:
    """Write a fully connected layer of constant real weights (in, out) on the last axis."""
    with torch.device("meta"):
        module: Any = nn.Linear(weight.shape[0], weight.shape[1], bias=bias is not None)
    return _with_weights(build, call, module, x, np.ascontiguousarray(weight.T), bias)


@operator("Gemm")
def gemm(build: Builder, call: Call) -> Value:
    """alpha · A · B + beta · C."""
    return general_matmul(build, call, call[0], call[1], call.optional(2))


def general_matmul(build: Builder, call: Call, a: Value, b: Value, c: Value | None) -> Value:
    """Write alpha · A · B + beta · C, either transposed."""
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    if call.get("transA", 0):
        a = build.function(call, torch.transpose, a, 0, 1)
    if b.constant and (c is None or (c.constant and _is_row(c.array))):
        weight = b.array.T if call.get("transB", 0) else b.array
        bias = None
        if c is not None:
            bias = np.float32(beta) * np.broadcast_to(_row(c.array), weight.shape[1:])
        return linear(build, call, a, _times(weight, alpha), bias)
    if call.get("transB", 0):
        b = build.function(call, torch.transpose, b, 0, 1)
    product = build.function(call, torch.matmul, a, b)
    if alpha != 1:
        product = build.function(call, torch.mul, product, alpha)
    if c is None:
        return product
    return build.function(call, torch.add, product, c, alpha=beta)


def _is_row(array: Array) -> bool:
    return array.ndim < 2 or (array.ndim == 2 and array.shape[0] == 1)


def _row(array: Array) -> Array:
    return np.asarray(array, dtype=np.float32).reshape(-1)


def _times(array: Array, factor: float) -> Array:
    return array if factor == 1 else np.asarray(array, np.float32) * np.float32(factor)


@operator("MatMul")
def matmul(build: Builder, call: Call) -> Value:
    """A product of matrices; a fully connected layer where the second one is constant."""
    a, b = call[0], call[1]
    if b.constant and b.rank == 2 and a.floating:
        return linear(build, call, a, b.array, None)
    return build.function(call, torch.matmul, a, b)
