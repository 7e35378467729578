"""Constants that follow a convolution or a fully connected layer go into its weights."""

import numpy as np
import torch
from torch import nn

from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.values import Array, Call, Value


def absorb(build: Builder, value: Value, factor: Array | None, addend: Array | None) -> bool:
    """Put a multiplication, then an addition, into the layer before; False where it cannot.

    It can where nobody else reads the layer's result, and the constants have one number in all
    or one a channel.
    """
    layer = value.layer
    if layer is None or not build.only_reader(value):
        return False
    is_linear = isinstance(layer, nn.Linear)
    axis = value.rank - 1 if is_linear else 1
    channels = value.shapes[0][axis]
    rows = [
        None if array is None else of_channels(array, value.rank, axis, channels)
        for array in (factor, addend)
    ]
    if any(
        row is None and array is not None for row, array in zip(rows, (factor, addend), strict=True)
    ):
        return False
    assert isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    multiplier, shift = (None if row is None else torch.from_numpy(row) for row in rows)
    weight, bias = layer.weight.detach(), layer.bias
    offset = torch.zeros(channels) if bias is None else bias.detach()
    if multiplier is not None:
        layer.weight = nn.Parameter(weight * multiplier.view(-1, *[1] * (weight.dim() - 1)))
        offset = offset * multiplier
    if shift is not None:
        offset = offset + shift
    if bias is not None or shift is not None:
        layer.bias = nn.Parameter(offset)
    return True


def of_channels(array: Array, rank: int, axis: int, channels: int) -> Array | None:
    """Return constants as float32 of shape (channels,), or None where they vary elsewhere."""
    if array.ndim > rank or array.dtype.kind not in "fiu":
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(size != 1 for position, size in enumerate(shape) if position != axis):
        return None
    if shape[axis] not in (1, channels):
        return None
    row: Array = np.broadcast_to(np.asarray(array, np.float32).reshape(-1), (channels,)).copy()
    return row


def absorbed(build: Builder, call: Call, x: Value) -> Value:
    """Return what a layer computes now that it has taken in a constant."""
    assert x.node is not None
    x.node.meta["onnx_output"] = call.outputs[0]
    return Value("", node=x.node, metas=x.metas, layer=x.layer)


def times_constant(build: Builder, call: Call, x: Value, factor: Array) -> Value:
    """Write a multiplication by constants, into the layer before if it can be."""
    if absorb(build, x, factor, None):
        return absorbed(build, call, x)
    return build.function(call, torch.mul, x, Value(f"{call.name}_factor", arrays=(factor, factor)))
