"""Normalisations."""

from typing import Any

import numpy as np
import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.absorbing import absorb
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import MICROSOFT, operator
from squeezed.graphs.twin.values import Array, Call, Value, as_tensor

BATCH_NORMS: dict[int, Any] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}


@operator("BatchNormalization")
def batch_norm(build: Builder, call: Call) -> Value:
    """Normalise by fixed statistics: inside the layer before it, where that is possible."""
    x = call[0]
    if call.get("training_mode", 0):
        raise UserError(f"{call} is in training mode; export the network in evaluation mode")
    gamma, beta, mean, var = (np.asarray(call.array(i), np.float64) for i in range(1, 5))
    eps = call.get("epsilon", 1e-5)
    factor = gamma / np.sqrt(var + eps)
    column = (-1, *[1] * (x.rank - 2))
    if isinstance(x.layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) or x.rank == 2:
        shift = (beta - mean * factor).astype(np.float32)
        if absorb(build, x, factor.astype(np.float32).reshape(column), shift.reshape(column)):
            x.name, x.producer = call.outputs[0], call
            return x
    module: Any = BATCH_NORMS[x.rank](len(gamma), eps=eps)
    for target, source in zip(
        (module.weight, module.bias, module.running_mean, module.running_var),
        (gamma, beta, mean, var),
        strict=True,
    ):
        target.data.copy_(torch.from_numpy(source))
    return build.module(call, module, x)


@operator("LayerNormalization")
def layer_norm(build: Builder, call: Call) -> Value:
    """Normalise each image over its last axes."""
    x, scale, bias = call[0], call.array(1), call.array(2)
    assert scale is not None
    axis = call.get("axis", -1) % x.rank
    shape = x.shapes[0][axis:]
    module: Any = nn.LayerNorm(shape, eps=call.get("epsilon", 1e-5), bias=bias is not None)
    module.weight = nn.Parameter(as_tensor(np.broadcast_to(scale, shape)))
    if bias is not None:
        module.bias = nn.Parameter(as_tensor(np.broadcast_to(bias, shape)))
    return build.module(call, module, x)


@operator("InstanceNormalization")
def instance_norm(build: Builder, call: Call) -> Value:
    """Normalise each channel of each image."""
    scale, bias = call.array(1), call.array(2)
    assert scale is not None and bias is not None
    return _group_norm(build, call, len(scale), scale, bias)


@operator("GroupNormalization")
def group_norm(build: Builder, call: Call) -> Value:
    """Normalise groups of channels of each image; before opset 21 with one scale a group."""
    groups, channels = call.get("num_groups"), call[0].shapes[0][1]
    scale, bias = call.array(1), call.array(2)
    assert scale is not None and bias is not None
    if len(scale) == groups and call.version < 21:
        scale, bias = (np.repeat(a, channels // groups) for a in (scale, bias))
    return _group_norm(build, call, groups, scale, bias)


def _group_norm(build: Builder, call: Call, groups: int, scale: Array, bias: Array) -> Value:
    module = nn.GroupNorm(groups, call[0].shapes[0][1], eps=call.get("epsilon", 1e-5))
    module.weight, module.bias = nn.Parameter(as_tensor(scale)), nn.Parameter(as_tensor(bias))
    return build.module(call, module, call[0])


@operator("LRN")
def local_response_norm(build: Builder, call: Call) -> Value:
    """Divide by a power of the mean square of neighbouring channels."""
    module = nn.LocalResponseNorm(
        call.get("size"), call.get("alpha", 1e-4), call.get("beta", 0.75), call.get("bias", 1.0)
    )
    return build.module(call, module, call[0])


@operator("RMSNormalization")
@operator("SimplifiedLayerNormalization")
def rms_norm(build: Builder, call: Call) -> Value:
    """Divide each image by its root mean square over the last axes."""
    x, scale = call[0], call.array(1)
    assert scale is not None
    shape = x.shapes[0][call.get("axis", -1) % x.rank :]
    module = nn.RMSNorm(list(shape), eps=call.get("epsilon", 1e-5))
    module.weight = nn.Parameter(as_tensor(np.broadcast_to(scale, shape)))
    return build.module(call, module, x)


@operator("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_norm(build: Builder, call: Call) -> list[Value]:
    """Normalise a sum, and return the sum too."""
    total = build.function(call, torch.add, call[0], call[1])
    if call.optional(4) is not None:
        total = build.function(call, torch.add, total, call[4])
    inner = call.as_operator("LayerNormalization", [total, call[2], call.optional(3)])
    result = layer_norm(build, inner)
    return [result, total, total, total]


@operator("MeanVarianceNormalization")
def mean_variance_norm(build: Builder, call: Call) -> Value:
    """Subtract the mean and divide by the standard deviation."""
    axes = call.get("axes") or [0, 2, 3]
    return build.function(call, standardise, call[0], axes)


def standardise(x: torch.Tensor, axes: list[int]) -> torch.Tensor:
    """Return (x − mean) / standard deviation along axes."""
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred * centred).mean(axes, keepdim=True).sqrt() + 1e-9)


@operator("LpNormalization")
def lp_norm(build: Builder, call: Call) -> Value:
    """Divide by the p-norm along an axis."""
    return build.function(call, unit_length, call[0], call.get("p", 2), call.get("axis", -1))


def unit_length(x: torch.Tensor, p: int, axis: int) -> torch.Tensor:
    """Return `x` divided by its p-norm; 0 where that is 0."""
    norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / torch.where(norm == 0, torch.ones_like(norm), norm)
