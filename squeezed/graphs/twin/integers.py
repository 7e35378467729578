"""To integers and back.

Where ONNX holds integers the twin holds the real numbers that they stand for, and `Value.grid`
remembers which. A chain quantize → integer operator → requantize is then fake quantization → float
operator → fake quantization, which is exact up to float32's rounding, and through which gradients
pass straight.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import helper
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin import rounding
from squeezed.graphs.twin.builder import Builder, grid_constants
from squeezed.graphs.twin.functions import from_integers
from squeezed.graphs.twin.registry import MICROSOFT, operator
from squeezed.graphs.twin.values import Array, Call, Grid, Value, as_tensor

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
    call: Call,
    scale: Array | None,
    zero_point: Array | None,
    axis: int | None,
    dtype: str = "uint8",
) -> Grid:
    """Return the grid that a scale and a zero point (whose dtype gives the range) describe."""
    assert scale is not None
    dtype = dtype if zero_point is None else zero_point.dtype.name
    if dtype not in RANGES:
        raise UserError(f"the twin knows no rounding to {dtype} ({call})")
    scale = np.asarray(scale, np.float32)
    points = np.zeros_like(scale) if zero_point is None else np.asarray(zero_point, np.float32)
    if scale.ndim > 1:
        return Grid(scale, points, *RANGES[dtype])
    if scale.size == 1:
        scale, points, axis = scale.reshape(()), points.reshape(()), None
    return Grid(scale, np.broadcast_to(points, scale.shape), *RANGES[dtype], axis)


def quantize(build: Builder, call: Call, x: Value, grid: Grid) -> Value:
    """Write a FakeQuantize, and the ReLU before it that its clamp at zero is.

    Numbers that lie on this grid already stay as they are.
    """
    if grid.equals(x.lattice):
        return replace(build.alias(x), grid=grid)
    name = build.name_of(call)
    if grid.clamps_at_zero and not x.nonnegative:
        x = build.module(call, nn.ReLU(), x, name=f"{name}_relu")
    scale, zero_point = (as_tensor(constant.array) for constant in grid_constants(x, grid))
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
    integers = build.plain(call, x)
    return build.function(call, from_integers, integers, *grid_constants(x, grid))


def _stand_for_the_same(a: Grid, b: Grid) -> bool:
    return (
        a.axis == b.axis
        and np.array_equal(a.scale, b.scale)
        and np.array_equal(a.zero_point, b.zero_point)
    )


@operator("QuantizeLinear")
@operator("QuantizeLinear", domain=MICROSOFT)
def quantize_linear(build: Builder, call: Call) -> Value:
    """Round to integers."""
    x, scale, zero_point = call[0], call.array(1), call.array(2)
    assert scale is not None
    dtype = "uint8"
    if call.get("output_dtype", 0):
        dtype = helper.tensor_dtype_to_np_dtype(call.get("output_dtype")).name
    scale, zero_point = _spread(call, scale), _spread(call, zero_point)
    return quantize(build, call, x, grid_of(call, scale, zero_point, call.get("axis", 1), dtype))


def _spread(call: Call, array: Array | None) -> Array | None:
    """Return scales or zero points, one for each number where there is one for each block."""
    block, axis = call.get("block_size", 0), call.get("axis", 1)
    if not block or array is None:
        return array
    length = call[0].shape[axis]
    spread: Array = np.repeat(array, block, axis)
    return spread[(slice(None),) * (axis % array.ndim) + (slice(length),)]


@operator("DequantizeLinear")
@operator("DequantizeLinear", domain=MICROSOFT)
def dequantize_linear(build: Builder, call: Call) -> Value:
    """Take integers for the real numbers they stand for."""
    scale, zero_point = _spread(call, call.array(1)), _spread(call, call.array(2))
    assert scale is not None
    return dequantize(build, call, call[0], grid_of(call, scale, zero_point, call.get("axis", 1)))
