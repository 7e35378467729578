"""Activation functions."""

import math

import numpy as np
import torch
from torch import nn

from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import MICROSOFT, operator
from squeezed.graphs.twin.values import Call, Value

_PLAIN = {
    "Relu": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "HardSwish": nn.Hardswish,
    "Softsign": nn.Softsign,
    "Softplus": nn.Softplus,
    "Mish": nn.Mish,
}


@operator(*_PLAIN)
def plain(build: Builder, call: Call) -> Value:
    """Activations without settings."""
    return build.module(call, _PLAIN[call.op](), call[0])


@operator("LeakyRelu")
def leaky_relu(build: Builder, call: Call) -> Value:
    """x, or alpha · x where it is negative."""
    return build.module(call, nn.LeakyReLU(call.get("alpha", 0.01)), call[0])


@operator("Elu")
def elu(build: Builder, call: Call) -> Value:
    """x, or alpha · (exp(x) − 1) where it is negative."""
    return build.module(call, nn.ELU(call.get("alpha", 1.0)), call[0])


@operator("Celu")
def celu(build: Builder, call: Call) -> Value:
    """x, or alpha · (exp(x / alpha) − 1) where it is negative."""
    return build.module(call, nn.CELU(call.get("alpha", 1.0)), call[0])


@operator("Selu")
def selu(build: Builder, call: Call) -> Value:
    """gamma · x, or gamma · alpha · (exp(x) − 1) where it is negative."""
    alpha = call.get("alpha", 1.67326319217681884765625)
    gamma = call.get("gamma", 1.05070102214813232421875)
    return build.function(call, scaled_elu, call[0], alpha, gamma)


def scaled_elu(x: torch.Tensor, alpha: float, gamma: float) -> torch.Tensor:
    """Return ONNX's Selu."""
    return gamma * nn.functional.elu(x, alpha)


@operator("ThresholdedRelu")
def thresholded_relu(build: Builder, call: Call) -> Value:
    """x where it is above alpha, else 0."""
    return build.module(call, nn.Threshold(call.get("alpha", 1.0), 0.0), call[0])


@operator("PRelu")
def prelu(build: Builder, call: Call) -> Value:
    """x, or slope · x where it is negative; one slope, or one a channel, or computed ones."""
    x, slope = call[0], call[1]
    if slope.constant and slope.array.size == 1:
        return build.module(call, nn.LeakyReLU(float(slope.array.reshape(()))), x)
    channels = x.shapes[0][1] if x.rank > 1 else 1
    if slope.constant and slope.shape == (channels, *[1] * (x.rank - 2)):
        module = nn.PReLU(channels)
        module.weight = nn.Parameter(torch.tensor(np.float32(slope.array).reshape(-1)))
        return build.module(call, module, x)
    return build.function(call, prelu_with_slopes, x, slope)


def prelu_with_slopes(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Return x, or slope · x where it is negative."""
    return torch.where(x < 0, x * slope, x)


@operator("HardSigmoid")
def hard_sigmoid(build: Builder, call: Call) -> Value:
    """alpha · x + beta, clamped to [0, 1]."""
    alpha, beta = call.get("alpha", 0.2), call.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return build.module(call, nn.Hardsigmoid(), call[0])
    return build.function(call, clamped_line, call[0], alpha, beta)


def clamped_line(x: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """Return alpha · x + beta, clamped to [0, 1]."""
    return (alpha * x + beta).clamp(0, 1)


@operator("Gelu")
@operator("Gelu", "FastGelu", domain=MICROSOFT)
def gelu(build: Builder, call: Call) -> Value:
    """x · Φ(x); FastGelu and `approximate` use the hyperbolic tangent."""
    x = call[0]
    if call.optional(1) is not None:
        x = build.function(call, torch.add, x, call[1])
    approximate = "tanh" if call.op == "FastGelu" else call.get("approximate", "none")
    return build.module(call, nn.GELU(approximate=approximate), x)


@operator("BiasGelu", domain=MICROSOFT)
def bias_gelu(build: Builder, call: Call) -> Value:
    """Gelu of the sum."""
    return build.module(call, nn.GELU(), build.function(call, torch.add, call[0], call[1]))


@operator("QuickGelu", domain=MICROSOFT)
@operator("Swish")
def swish(build: Builder, call: Call) -> Value:
    """x · sigmoid(alpha · x)."""
    alpha = call.get("alpha", 1.702 if call.domain == MICROSOFT else 1.0)
    if alpha == 1:
        return build.module(call, nn.SiLU(), call[0])
    return build.function(call, scaled_swish, call[0], alpha)


def scaled_swish(x: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return x · sigmoid(alpha · x)."""
    return x * torch.sigmoid(alpha * x)


@operator("Clip")
def clip(build: Builder, call: Call) -> Value:
    """Clamp; to 0 … 6 it is a ReLU6, to 0 … ∞ a ReLU."""
    x = call[0]
    if any(v is not None and not v.constant for v in (call.optional(1), call.optional(2))):
        low, high = call.optional(1), call.optional(2)
        return build.function(call, torch.clamp, x, low, high)
    low, high = call.setting("min", 1), call.setting("max", 2)
    low = None if low is None or low <= np.finfo(np.float32).min else low
    high = None if high is None or high >= np.finfo(np.float32).max else high
    if (low, high) == (0, None):
        result = build.module(call, nn.ReLU(), x)
    elif (low, high) == (0, 6):
        result = build.module(call, nn.ReLU6(), x)
    elif low is not None and high is not None and low < high and x.floating:
        result = build.module(call, nn.Hardtanh(low, high), x)
    elif (low, high) == (None, None):
        result = build.function(call, torch.clone, x)
    else:
        result = build.function(call, torch.clamp, x, low, high)
    result.nonnegative = low is not None and low >= 0
    return result


@operator("Softmax", "LogSoftmax", "Hardmax")
def softmax(build: Builder, call: Call) -> Value:
    """Softmax along an axis; before opset 13 along all axes from `axis` on, taken as one."""
    x = call[0]
    old = call.version < 13
    axis = call.get("axis", 1 if old else -1) % max(x.rank, 1)
    if call.op == "Hardmax":
        return build.function(call, hardmax, x, axis, old)
    if old and any(size != 1 for size in x.shapes[0][axis + 1 :]):
        return build.function(call, softmax_of_rest, x, axis, call.op == "LogSoftmax")
    return build.module(
        call, {"Softmax": nn.Softmax, "LogSoftmax": nn.LogSoftmax}[call.op](axis), x
    )


def softmax_of_rest(x: torch.Tensor, axis: int, logarithm: bool) -> torch.Tensor:
    """Return the softmax over all axes from `axis` on, together."""
    of = torch.log_softmax if logarithm else torch.softmax
    return of(x.flatten(axis), axis).view_as(x)


def hardmax(x: torch.Tensor, axis: int, rest: bool) -> torch.Tensor:
    """Return 1 at the first highest number along an axis, 0 elsewhere."""
    flat = x.flatten(axis) if rest else x
    highest = flat.argmax(axis, keepdim=True)
    return torch.zeros_like(flat).scatter(axis, highest, 1.0).view_as(x)
