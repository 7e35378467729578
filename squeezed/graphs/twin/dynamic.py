"""Integers whose scale is computed from the activations, and products of bare integers.

What ONNX computes in integers and multiplies by its scales afterwards, the twin computes with real
numbers: it carries integers times a scale (`Value.times_scale`) until the graph multiplies by it.
"""

import numpy as np
import torch

from squeezed.graphs.twin import layers, rounding
from squeezed.graphs.twin.absorbing import times_constant
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.integers import dequantized, real
from squeezed.graphs.twin.registry import MICROSOFT, operator
from squeezed.graphs.twin.values import Array, Call, Scale, Value


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(build: Builder, call: Call) -> list[Value]:
    """Round to 256 levels over the input's own range."""
    x = call[0]
    result = build.module(call, rounding.DynamicFakeQuantize(), x)
    result.nonnegative = x.nonnegative
    scale = build.function(call, rounding.dynamic_scale, x)
    zero_point = build.function(call, rounding.dynamic_zero_point, x)
    result.grid = scale.is_scale = Scale(scale, zero_point)
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
    integers = build.plain(call, x)
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
        product.is_scale = Scale(b.is_scale.origin, None, b.is_scale.factor * np.float32(a.array))
        return product
    if a.times_scale is None or a.times_scale.origin is not b.is_scale.origin:
        return None
    value = Value(a.name, node=a.node, metas=a.metas, layer=a.layer, producer=a.producer)
    return times_constant(build, call, value, b.is_scale.factor)


@operator("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(build: Builder, call: Call) -> Value:
    """Round to 256 levels and multiply by rounded weights."""
    x = build.module(call, rounding.DynamicFakeQuantize(), call[0], name=f"{call.name}_rounding")
    return _product(build, call, x, call.array(2), 3, 4)


@operator("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(build: Builder, call: Call) -> Value:
    """Multiply integers; the result is real."""
    x = call[0]
    if isinstance(x.grid, Scale):
        x = Value(x.name, node=x.node, metas=x.metas)
    else:
        x = real(build, call.as_operator("", [x, call[2], call.optional(4)]), 0)
    return _product(build, call, x, call.array(3), 5, 6)


def _product(
    build: Builder, call: Call, x: Value, scale: Array | None, zero_position: int, bias: int
) -> Value:
    """Multiply by the weights of input 1, whose columns may have scales of their own."""
    weight, zero_point = call.array(1), call.array(zero_position)
    assert weight is not None and scale is not None
    weight = dequantized(weight, scale.reshape(-1), zero_point, -1)
    return layers.linear(build, call, x, weight, call.array(bias))
