"""Operators on tensors that are quantized beforehand: real numbers in, rounded ones out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from squeezed.graphs.twin import layers, tracking
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.integers import grid_of, quantize, real
from squeezed.graphs.twin.registry import HANDLERS, MICROSOFT, operator
from squeezed.graphs.twin.values import Call, Value


def rounded(build: Builder, call: Call, result: Value, position: int) -> Value:
    """Round to the grid whose scale and zero point are the inputs from `position` on."""
    scale, zero_point = call.array(position), call.array(position + 1)
    assert scale is not None
    return quantize(build, call, result, grid_of(call, scale, zero_point, None))


@operator("QLinearConv")
def qlinear_conv(build: Builder, call: Call) -> Value:
    """Convolve and round."""
    x, weight = real(build, call, 0), real(build, call, 3, axis=0)
    bias, x_scale, w_scale = call.array(8), call.array(1), call.array(4)
    if bias is not None:
        assert x_scale is not None and w_scale is not None
        bias = bias.astype(np.float32) * (np.float32(x_scale) * np.float32(w_scale)).reshape(-1)
    result = layers.convolution(build, call, x, weight.array, bias)
    return rounded(build, call, result, 6)


@operator("QLinearMatMul")
def qlinear_matmul(build: Builder, call: Call) -> Value:
    """Multiply and round."""
    a, b = real(build, call, 0), real(build, call, 3, axis=-1)
    if b.constant and b.rank == 2:
        product = layers.linear(build, call, a, b.array, None)
    else:
        product = build.function(call, torch.matmul, a, b)
    return rounded(build, call, product, 6)


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
    return rounded(build, call, result, 7)


_BINARY: dict[str, Callable[..., Any]] = {"QLinearAdd": torch.add, "QLinearMul": torch.mul}


@operator(*_BINARY, domain=MICROSOFT)
def qlinear_binary(build: Builder, call: Call) -> Value:
    """Add or multiply, and round."""
    a, b = real(build, call, 0), real(build, call, 3)
    result = build.function(call, _BINARY[call.op], a, b)
    result.nonnegative = all(v.nonnegative for v in (a, b))
    return rounded(build, call, result, 6)


_ONE = {
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearAveragePool": "AveragePool",
    "QLinearSigmoid": "Sigmoid",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearSoftmax": "Softmax",
    "QLinearReduceMean": "ReduceMean",
}


@operator(*_ONE, domain=MICROSOFT)
def qlinear_unary(build: Builder, call: Call) -> Value:
    """An ordinary operator of one tensor, then rounding."""
    x = real(build, call, 0)
    last = bool(call.get("channels_last", 0))
    if last:
        x = build.function(call, torch.movedim, x, -1, 1)
    inner = call.as_operator(_ONE[call.op], [x])
    inner.version = call.get("opset", 13)
    result = HANDLERS["", inner.op](build, inner)
    assert isinstance(result, Value)
    tracking.follow(inner, result)
    result = rounded(build, call, result, 3)
    if last:
        grid = result.grid
        result = build.function(call, torch.movedim, result, 1, -1)
        result.grid = grid
    return result


@operator("QLinearConcat", domain=MICROSOFT)
def qlinear_concat(build: Builder, call: Call) -> Value:
    """Join tensors of different scales, and round."""
    parts = [real(build, call, position) for position in range(2, len(call), 3)]
    inner = call.as_operator("Concat", parts)
    result = HANDLERS["", "Concat"](build, inner)
    assert isinstance(result, Value)
    tracking.follow(inner, result)
    return rounded(build, call, result, 0)


@operator("QLinearWhere", domain=MICROSOFT)
def qlinear_where(build: Builder, call: Call) -> Value:
    """Choose between two tensors, and round."""
    parts = [call[0], real(build, call, 1), real(build, call, 4)]
    return rounded(build, call, build.function(call, torch.where, *parts), 7)
