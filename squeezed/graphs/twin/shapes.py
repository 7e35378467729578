"""Operators that move numbers without changing them."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from onnx import helper
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.functions import expand_with_batch, reshape_with_batch
from squeezed.graphs.twin.layers import torch_order
from squeezed.graphs.twin.parts import take
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Array, Call, Value, as_tensor
from squeezed.graphs.twin.writer import linear

Shape = tuple[int, ...]


@operator("Identity", "Dropout")
def identity(build: Builder, call: Call) -> Value:
    """What is nothing at all in evaluation."""
    if call.op == "Dropout" and call.setting("training_mode", 2, False):
        raise UserError(f"{call} is in training mode; export the network in evaluation mode")
    return build.alias(call[0])


@operator("Cast", "CastLike")
def cast(build: Builder, call: Call) -> Value:
    """Change the type of numbers; all floating-point types are one in the twin."""
    x = call[0]
    if call.op == "Cast":
        kind = helper.tensor_dtype_to_np_dtype(call.get("to"))
        dtype = as_tensor(np.zeros(0, kind)).dtype
    else:
        dtype = as_tensor(call[1].array).dtype if call[1].known else call[1].dtype
    if dtype == x.dtype or (dtype.is_floating_point and x.floating):
        return build.alias(x)
    return build.function(call, torch.Tensor.to, x, dtype)


# ---------------------------------------------------------------------- shape


@operator("Reshape")
def reshape(build: Builder, call: Call) -> Value:
    """Reshape; where the file fixes the batch size, its axis follows the images instead."""
    x, target = call[0], call[1]
    if target.arrays is None:
        raise UserError(
            f"the twin cannot follow {call}, whose shape depends on the images' content"
        )
    zero_copies = not call.get("allowzero", 0)
    if build.relaxed and target.constant and None in x.shape:
        fixed = _target(x.shapes[0], target.array, zero_copies)
        sizes = relaxed_sizes(build, call, x, fixed)
    else:
        first, second = (
            _target(shape, array, zero_copies)
            for shape, array in zip(x.shapes, target.arrays, strict=True)
        )
        sizes = (first, second)
    return to_shape(build, call, x, sizes)


def _target(shape: Shape, target: Array, zero_copies: bool) -> Shape:
    """Return the shape that Reshape's input asks for."""
    sizes = [int(size) for size in target]
    if zero_copies:
        sizes = [shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    if -1 in sizes:
        others = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = math.prod(shape) // others if others else 0
    return tuple(sizes)


def relaxed_sizes(build: Builder, call: Call, x: Value, fixed: Shape) -> tuple[Shape, Shape]:
    """Return the shape for either batch size, given the one that the file fixes.

    The batch is the axis before which as many numbers lie as before the batch axis of `x`.
    """
    first, second = x.shapes
    axis = next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
    before, n, m = math.prod(first[:axis]), *build.batches
    for position, size in enumerate(fixed):
        if math.prod(fixed[:position]) == before and size % n == 0 and size:
            return fixed, (*fixed[:position], size // n * m, *fixed[position + 1 :])
    raise UserError(
        f"{call} mixes the batch with other axes; the twin needs a graph whose batch size is free"
    )


def to_shape(build: Builder, call: Call, x: Value, sizes: tuple[Shape, Shape]) -> Value:
    """Write a reshape to a shape that is given for either batch size."""
    first, second = sizes
    if math.prod(second) != math.prod(x.shapes[1]):
        raise UserError(
            f"{call} cannot reshape {x.shapes[1]} to {second}; is the batch size fixed?"
        )
    if sizes == x.shapes:
        return build.alias(x)
    follows = [a != b for a, b in zip(first, second, strict=True)]
    keeps_batch = x.shape[0] is None and first[0] == x.shapes[0][0]
    if keeps_batch and x.rank > 2 and follows == [True, False]:
        return build.module(call, nn.Flatten(1), x)
    if sum(follows) <= 1:
        target = [-1 if f else size for f, size in zip(follows, first, strict=True)]
        return build.function(call, torch.reshape, x, target)
    lines = [linear(a, b, build.batches) for a, b in zip(first, second, strict=True)]
    return build.function(call, reshape_with_batch, x, build.images, lines)


@operator("Flatten")
def flatten(build: Builder, call: Call) -> Value:
    """Make a matrix."""
    x, axis = call[0], call.get("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    if axis == 1 and x.rank > 1:
        return build.module(call, nn.Flatten(1), x)
    first, second = ((math.prod(s[:axis]), math.prod(s[axis:])) for s in x.shapes)
    return to_shape(build, call, x, (first, second))


@operator("Squeeze")
def squeeze(build: Builder, call: Call) -> Value:
    """Take out axes of length one."""
    x, axes = call[0], call.setting("axes", 1)
    if axes is None:
        axes = [i for i, size in enumerate(x.shape) if size == 1]
    axes = [axis % x.rank for axis in np.atleast_1d(axes)]
    first, second = (tuple(n for i, n in enumerate(s) if i not in axes) for s in x.shapes)
    return to_shape(build, call, x, (first, second))


@operator("Unsqueeze")
def unsqueeze(build: Builder, call: Call) -> Value:
    """Put in axes of length one."""
    x, axes = call[0], np.atleast_1d(call.setting("axes", 1))
    rank = x.rank + len(axes)
    places = {int(axis) % rank for axis in axes}

    def widened(shape: Shape) -> Shape:
        rest = iter(shape)
        return tuple(1 if i in places else next(rest) for i in range(rank))

    first, second = (widened(shape) for shape in x.shapes)
    return to_shape(build, call, x, (first, second))


@operator("Transpose")
def transpose(build: Builder, call: Call) -> Value:
    """Reorder the axes."""
    x = call[0]
    order = list(call.get("perm") or reversed(range(x.rank)))
    return build.function(call, torch.permute, x, order)


@operator("Expand")
def expand(build: Builder, call: Call) -> Value:
    """Repeat axes of length one."""
    x, target = call[0], call[1]
    if target.arrays is None:
        raise UserError(
            f"the twin cannot follow {call}, whose shape depends on the images' content"
        )
    arrays = target.arrays
    if build.relaxed and target.constant and None in x.shape:
        axis = x.shape.index(None) - x.rank + target.array.size
        if axis >= 0:
            second = target.array.copy()
            second[axis] = 1
            arrays = (target.array, second)
    one, other = (
        np.broadcast_shapes(shape, tuple(int(n) for n in array))
        for shape, array in zip(x.shapes, arrays, strict=True)
    )
    if (one, other) == x.shapes:
        return build.alias(x)
    if one == other:
        return build.function(call, torch.Tensor.expand, x, list(one))
    lines = [linear(a, b, build.batches) for a, b in zip(one, other, strict=True)]
    return build.function(call, expand_with_batch, x, build.images, lines)


@operator("Tile")
def tile(build: Builder, call: Call) -> Value:
    """Repeat along axes."""
    repeats = call.array(1)
    assert repeats is not None
    return build.function(call, torch.tile, call[0], repeats.tolist())


# ---------------------------------------------------------------------- borders and blocks


@operator("Pad")
def pad(build: Builder, call: Call) -> Value:
    """Add a border: of a constant, of mirrored numbers, of the edge's, or of the other side's."""
    x, mode = call[0], call.get("mode", "constant")
    flat = call.setting("pads", 1)
    axes = call.setting("axes", 3) or list(range(x.rank))
    pads = [(0, 0)] * x.rank
    for axis, before, after in zip(axes, flat[: len(axes)], flat[len(axes) :], strict=True):
        pads[axis % x.rank] = (before, after)
    value = call.setting("value", 2, 0) if mode == "constant" else 0
    value = value[0] if isinstance(value, list) else value
    first = next((i for i, pair in enumerate(pads) if pair != (0, 0)), x.rank)
    if first == x.rank:
        return build.alias(x)
    if mode == "constant":
        if x.rank == 4 and first >= 2 and value == 0:
            return build.module(call, nn.ZeroPad2d(torch_order(pads[2:])), x)
        return build.function(call, nn.functional.pad, x, torch_order(pads[first:]), value=value)
    for axis, (before, after) in enumerate(pads):
        if (before, after) != (0, 0):
            length = x.shape[axis]
            if length is None:
                raise UserError(f"{call} works along the batch, which the twin cannot follow")
            kinds: dict[str, Literal["reflect", "edge", "wrap"]]
            kinds = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
            kept = np.arange(max(-before, 0), length - max(-after, 0))
            indices = np.pad(kept, (max(before, 0), max(after, 0)), mode=kinds[mode])
            x = build.function(call, take, x, axis, Value(f"{call.name}_i", arrays=(indices,) * 2))
    return x


@operator("DepthToSpace")
def depth_to_space(build: Builder, call: Call) -> Value:
    """Move channels into blocks of pixels."""
    block, mode = call.get("blocksize"), call.get("mode", "DCR")
    if mode == "CRD":
        return build.module(call, nn.PixelShuffle(block), call[0])
    return build.function(call, depth_first_to_space, call[0], block)


def depth_first_to_space(x: torch.Tensor, block: int) -> torch.Tensor:
    """Return channels, the block's place first, as blocks of pixels."""
    n, channels, height, width = x.shape
    parts = x.reshape(n, block, block, channels // block**2, height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, height * block, width * block)


@operator("SpaceToDepth")
def space_to_depth(build: Builder, call: Call) -> Value:
    """Move blocks of pixels into channels, the block's place first."""
    if call.get("mode", "DCR") == "CRD":
        return build.module(call, nn.PixelUnshuffle(call.get("blocksize")), call[0])
    return build.function(call, space_to_depth_first, call[0], call.get("blocksize"))


def space_to_depth_first(x: torch.Tensor, block: int) -> torch.Tensor:
    """Return blocks of pixels as channels, the block's place first."""
    n, channels, height, width = x.shape
    parts = x.reshape(n, channels, height // block, block, width // block, block)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, height // block, width // block)
