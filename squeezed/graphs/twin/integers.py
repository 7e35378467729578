"""Quantized operators.

Where ONNX holds integers the twin holds the real numbers that they stand for, and `Value.grid`
remembers which. A chain quantize → integer operator → requantize is then fake quantization → float
operator → fake quantization, which is exact up to float32's rounding, and through which gradients
pass straight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from onnx import helper
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin import elementwise, layers, rounding
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import MICROSOFT, operator
from squeezed.graphs.twin.values import Array, Call, Grid, Scale, Value, as_tensor

RANGES = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
    "uint4": (0, 15),
    "int4": (-8, 7),
    "uint2": (0, 3),
    "int2": (-2, 1),
    "int32": (-(2**31), 2**31 - 1),
}


def grid_of(
    call: Call, scale: Array, zero_point: Array | None, axis: int | None, dtype: str = "uint8"
) -> Grid:
    """Return the grid that a scale and a zero point (whose dtype gives the range) describe."""
    dtype = dtype if zero_point is None else zero_point.dtype.name
    if dtype not in RANGES:
        raise UserError(f"the twin knows no rounding to {dtype} ({call})")
    scale = np.asarray(scale, np.float32)
    points = np.zeros_like(scale) if zero_point is None else np.asarray(zero_point, np.float32)
    if scale.size == 1:
        scale, points, axis = scale.reshape(()), points.reshape(()), None
    return Grid(scale, np.broadcast_to(points, scale.shape), *RANGES[dtype], axis)


# ---------------------------------------------------------------------- to and from the grid


def quantize(build: Builder, call: Call, x: Value, grid: Grid) -> Value:
    """Write a FakeQuantize, and the ReLU before it that its clamp at zero is.

    Numbers that lie on this grid already stay as they are.
    """
    if grid.equals(x.lattice):
        return replace(build.alias(x), grid=grid)
    name = build.name_of(call)
    if grid.clamps_at_zero and not x.nonnegative:
        x = build.module(call, nn.ReLU(), x, name=f"{name}_relu")
    shape: tuple[int, ...] = ()
    if grid.axis is not None:
        shape = (-1, *[1] * (x.rank - 1 - grid.axis % x.rank))
    scale, zero_point = (as_tensor(a).reshape(shape) for a in (grid.scale, grid.zero_point))
    module = rounding.FakeQuantize(scale, zero_point, grid.low, grid.high)
    name = name if call.op == "QuantizeLinear" else f"{name}_rounding"
    value = build.module(call, module, x, name=name)
    value.grid = value.lattice = grid
    value.nonnegative = grid.clamps_at_zero
    return value


def real(build: Builder, call: Call, position: int, axis: int | None = None) -> Value:
    """Return the real numbers of a quantized input, whose scale and zero point follow it."""
    x = call[position]
    scale, zero_point = call.array(position + 1), call.array(position + 2)
    assert scale is not None
    if x.constant:
        return Value(x.name, arrays=(dequantized(x.array, scale, zero_point, axis),) * 2)
    return dequantize(build, call, x, grid_of(call, scale, zero_point, axis))


def dequantized(q: Array, scale: Array, zero_point: Array | None, axis: int | None) -> Array:
    """Return constants as real numbers, float32."""
    shape = (1,) * q.ndim
    if axis is not None and scale.size > 1:
        shape = tuple(-1 if position == axis % q.ndim else 1 for position in range(q.ndim))
    numbers = np.asarray(q, np.int64)
    if zero_point is not None:
        numbers = numbers - np.asarray(zero_point, np.int64).reshape(
            shape if zero_point.size > 1 else (1,) * q.ndim
        )
    result: Array = numbers.astype(np.float32) * np.asarray(scale, np.float32).reshape(shape)
    return result


def dequantize(build: Builder, call: Call, x: Value, grid: Grid) -> Value:
    """Return the real numbers of a value that ONNX holds as integers."""
    if isinstance(x.grid, Grid) and _stand_for_the_same(x.grid, grid):
        return replace(build.alias(x), grid=None)
    integers = as_integers(build, call, x)
    shape: tuple[int, ...] = ()
    if grid.axis is not None:
        shape = (-1, *[1] * (x.rank - 1 - grid.axis % x.rank))
    scale, zero_point = (
        Value(f"{call.name}_{what}", arrays=(a.reshape(shape),) * 2)
        for what, a in (("scale", grid.scale), ("zero_point", grid.zero_point))
    )
    return build.function(call, from_integers, integers, scale, zero_point)


def _stand_for_the_same(a: Grid, b: Grid) -> bool:
    return (
        a.axis == b.axis
        and np.array_equal(a.scale, b.scale)
        and np.array_equal(a.zero_point, b.zero_point)
    )


def from_integers(q: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor) -> torch.Tensor:
    """Return the real numbers (q − zero point) · scale."""
    return (q - zero_point) * scale


def to_integers(x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor) -> torch.Tensor:
    """Return the integers, as floating-point numbers, of real numbers on a grid."""
    return x / scale + zero_point


def as_integers(build: Builder, call: Call, x: Value) -> Value:
    """Return a value as ONNX has it, integers as floating-point numbers."""
    if isinstance(x.times_scale, Scale):
        return build.function(call, torch.div, x, x.times_scale.origin)
    if isinstance(x.grid, Scale):
        raise UserError(f"the twin cannot compute with the integers that {call} takes")
    if x.grid is None:
        return x
    shape: tuple[int, ...] = ()
    if x.grid.axis is not None:
        shape = (-1, *[1] * (x.rank - 1 - x.grid.axis % x.rank))
    scale, zero_point = (
        Value(f"{call.name}_{what}", arrays=(a.reshape(shape),) * 2)
        for what, a in (("scale", x.grid.scale), ("zero_point", x.grid.zero_point))
    )
    return build.function(call, to_integers, x, scale, zero_point)


@operator("QuantizeLinear")
@operator("QuantizeLinear", domain=MICROSOFT)
def quantize_linear(build: Builder, call: Call) -> Value:
    """Round to integers."""
    x, scale, zero_point = call[0], call.array(1), call.array(2)
    assert scale is not None
    dtype = "uint8"
    if call.get("output_dtype", 0):
        dtype = helper.tensor_dtype_to_np_dtype(call.get("output_dtype")).name
    if call.get("block_size", 0):
        raise UserError(f"the twin knows no rounding of activations in blocks ({call})")
    return quantize(build, call, x, grid_of(call, scale, zero_point, call.get("axis", 1), dtype))


@operator("DequantizeLinear")
@operator("DequantizeLinear", domain=MICROSOFT)
def dequantize_linear(build: Builder, call: Call) -> Value:
    """Take integers for the real numbers they stand for."""
    scale, zero_point = call.array(1), call.array(2)
    assert scale is not None
    return dequantize(build, call, call[0], grid_of(call, scale, zero_point, call.get("axis", 1)))


# ---------------------------------------------------------------------- static


@operator("QLinearConv")
def qlinear_conv(build: Builder, call: Call) -> Value:
    """Convolve and round."""
    x, weight = real(build, call, 0), real(build, call, 3, axis=0)
    scale, zero_point = call.array(6), call.array(7)
    assert scale is not None
    bias, x_scale, w_scale = call.array(8), call.array(1), call.array(4)
    if bias is not None:
        assert x_scale is not None and w_scale is not None
        bias = bias.astype(np.float32) * (np.float32(x_scale) * np.float32(w_scale)).reshape(-1)
    result = layers.convolution(build, call, x, weight.array, bias)
    return quantize(build, call, result, grid_of(call, scale, zero_point, None))


@operator("QLinearMatMul")
def qlinear_matmul(build: Builder, call: Call) -> Value:
    """Multiply and round."""
    a, b = real(build, call, 0), real(build, call, 3, axis=-1)
    scale, zero_point = call.array(6), call.array(7)
    assert scale is not None
    if b.constant and b.rank == 2:
        product = layers.linear(build, call, a, b.array, None)
    else:
        product = build.function(call, torch.matmul, a, b)
    return quantize(build, call, product, grid_of(call, scale, zero_point, None))


@operator("QGemm", domain=MICROSOFT)
def qgemm(build: Builder, call: Call) -> Value:
    """alpha · A · B + C of quantized matrices, rounded where an output scale is given."""
    a = real(build, call, 0)
    b = real(build, call, 3, axis=0 if call.get("transB", 0) else 1)
    a_scale, b_scale, c = call.array(1), call.array(4), call.array(6)
    bias = None
    if c is not None:
        assert a_scale is not None and b_scale is not None
        unit = a_scale * b_scale * np.float32(call.get("alpha", 1.0))
        array = c.astype(np.float32) * unit.reshape(-1)
        bias = Value(f"{call.name}_bias", arrays=(array, array))
    result = layers.general_matmul(build, call, a, b, bias)
    if call.optional(7) is None:
        return result
    scale, zero_point = call.array(7), call.array(8)
    assert scale is not None
    return quantize(build, call, result, grid_of(call, scale, zero_point, None))


_BINARY: dict[str, Callable[..., Any]] = {"QLinearAdd": torch.add, "QLinearMul": torch.mul}


@operator(*_BINARY, domain=MICROSOFT)
def qlinear_binary(build: Builder, call: Call) -> Value:
    """Add or multiply, and round."""
    a, b = real(build, call, 0), real(build, call, 3)
    scale, zero_point = call.array(6), call.array(7)
    assert scale is not None
    result = build.function(call, _BINARY[call.op], a, b)
    result.nonnegative = all(v.nonnegative for v in (a, b))
    return quantize(build, call, result, grid_of(call, scale, zero_point, None))


# ---------------------------------------------------------------------- dynamic


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(build: Builder, call: Call) -> list[Value]:
    """Round to 256 levels over the input's own range."""
    x = call[0]
    result = build.module(call, rounding.DynamicFakeQuantize(), x)
    result.nonnegative = x.nonnegative
    scale = build.function(call, rounding.dynamic_scale, x)
    zero_point = build.function(call, rounding.dynamic_zero_point, x)
    result.grid = scale.is_scale = Scale(scale)
    return [result, scale, zero_point]


def _weights(call: Call, position: int, zero_position: int, axis: int) -> Array:
    weight, zero_point = call.array(position), call.array(zero_position)
    assert weight is not None
    if zero_point is not None and zero_point.ndim > 1:
        zero_point = zero_point.reshape(-1)
    axis = axis if zero_point is not None and zero_point.size > 1 else 0
    ones = np.ones(1 if zero_point is None else zero_point.size, np.float32)
    return dequantized(weight, ones, zero_point, axis)


def _integer_input(build: Builder, call: Call, position: int, zero_position: int) -> Value:
    """Return x − zero point; as real numbers, times a scale, where x is dynamically quantized."""
    x = call[position]
    if isinstance(x.grid, Scale):
        value = Value(x.name, node=x.node, metas=x.metas, nonnegative=x.nonnegative)
        value.times_scale = x.grid
        return value
    zero_point = call.array(zero_position)
    integers = as_integers(build, call, x)
    if zero_point is not None and np.any(zero_point):
        integers = build.function(call, torch.sub, integers, float(zero_point.reshape(-1)[0]))
    return integers


@operator("MatMulInteger")
def matmul_integer(build: Builder, call: Call) -> Value:
    """Multiply integers."""
    a = _integer_input(build, call, 0, 2)
    result = layers.linear(build, call, a, _weights(call, 1, 3, axis=-1), None)
    result.times_scale = a.times_scale
    return result


@operator("ConvInteger")
def conv_integer(build: Builder, call: Call) -> Value:
    """Convolve integers."""
    x = _integer_input(build, call, 0, 2)
    result = layers.convolution(build, call, x, _weights(call, 1, 3, axis=0), None)
    result.times_scale = x.times_scale
    return result


def multiply_by_scale(build: Builder, call: Call) -> Value | None:
    """Return the product of integers and the scale that the twin's numbers are times already.

    None where the call is no such product.
    """
    a, b = call[0], call[1]
    if b.is_scale is None:
        a, b = b, a
    if b.is_scale is None:
        return None
    if a.constant:  # scale · constant
        product = build.function(call, torch.mul, b, a)
        product.is_scale = Scale(b.is_scale.origin, b.is_scale.factor * np.float32(a.array))
        return product
    if a.times_scale is None or a.times_scale.origin is not b.is_scale.origin:
        return None
    value = Value(a.name, node=a.node, metas=a.metas, layer=a.layer, producer=a.producer)
    return elementwise.times_constant(build, call, value, b.is_scale.factor)
