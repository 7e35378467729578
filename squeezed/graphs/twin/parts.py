"""Operators that join tensors, and that take parts of them."""

from __future__ import annotations

import numpy as np
import torch

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Call, Value


@operator("Concat")
def concat(build: Builder, call: Call) -> Value:
    """Join tensors; constants for one image are repeated for each."""
    axis = call.get("axis") % call[0].rank
    parts = list(call.inputs)
    follows = [v for v in parts if axis != 0 and not v.known and v.shape[0] is None]
    for position, value in enumerate(parts):
        if follows and value.constant and value.shape[0] is not None:
            first, second = follows[0].shapes
            if first[0] == value.shape[0] and build.relaxed:
                row = value.array[:1]
                arrays = tuple(np.repeat(row, n, 0) for n in (first[0], second[0]))
                parts[position] = Value(value.name, arrays=(arrays[0], arrays[1]))
    return build.function(call, torch.cat, parts, axis)


@operator("Split")
def split(build: Builder, call: Call) -> list[Value]:
    """Cut into parts."""
    x, axis, count = call[0], call.get("axis", 0) % call[0].rank, len(call.outputs)
    sizes = call.setting("split", 1)
    if sizes is None:
        length = x.shape[axis]
        if length is None:
            raise UserError(f"{call} cuts along the batch, which the twin cannot follow")
        part = -(-length // call.get("num_outputs", count))
        sizes = [min(part, length - i * part) for i in range(count)]
    return build.functions(call, torch.split, x, sizes, axis)


@operator("Slice")
def slice_(build: Builder, call: Call) -> Value:
    """Cut out ranges, with steps; negative steps go backwards."""
    x = call[0]
    starts, ends = call.setting("starts", 1), call.setting("ends", 2)
    axes = call.setting("axes", 3) or list(range(len(starts)))
    steps = call.setting("steps", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = axis % x.rank
        length = x.shape[axis]
        if length is None:
            if step == 1 and start == 0 and end >= max(x.shapes[1][axis], 2**31 - 1):
                continue
            length = max(x.shapes[1])
            x = build.function(
                call, slice_along, x, axis, start, None if end > 2**30 else end, step
            )
            continue
        begin, stop, step = slice(start, max(end, -(2**62)), step).indices(length)
        if step < 0:
            indices = np.arange(begin, stop, step)
            x = build.function(call, take, x, axis, Value(f"{call.name}_i", arrays=(indices,) * 2))
        elif (begin, stop, step) != (0, length, 1):
            x = build.function(call, slice_along, x, axis, begin, stop, step)
    return build.alias(x)


def slice_along(
    x: torch.Tensor, axis: int, start: int, stop: int | None, step: int
) -> torch.Tensor:
    """Return a range of one axis."""
    return x[(slice(None),) * axis + (slice(start, stop, step),)]


@operator("Gather")
def gather(build: Builder, call: Call) -> Value:
    """Pick along one axis."""
    x, indices, axis = call[0], call[1], call.get("axis", 0)
    axis = axis % x.rank
    if indices.constant:
        length = x.shape[axis]
        array = indices.array if length is None else indices.array % length
        if array.ndim == 0:
            return build.function(call, torch.select, x, axis, int(array))
        indices = Value(indices.name, arrays=(array, array))
    elif not x.constant:
        return build.function(call, take, x, axis, indices)
    return build.function(call, take, x, axis, indices)


@operator("GatherND")
def gather_nd(build: Builder, call: Call) -> Value:
    """Pick by several coordinates at once."""
    x, indices = call[0], call[1]
    return build.function(call, pick, x, indices, call.get("batch_dims", 0))


def pick(x: torch.Tensor, indices: torch.Tensor, batch_axes: int) -> torch.Tensor:
    """Return the parts of `x` at the coordinates in the last axis of `indices`."""
    if batch_axes:
        shape = indices.shape[:batch_axes]
        places = torch.meshgrid(
            *(torch.arange(size, device=x.device) for size in shape), indexing="ij"
        )
        ones = (1,) * (indices.dim() - 1 - batch_axes)
        return x[tuple(p.reshape(*shape, *ones) for p in places) + tuple(indices.unbind(-1))]
    return x[tuple(indices.unbind(-1))]


def take(x: torch.Tensor, axis: int, indices: torch.Tensor) -> torch.Tensor:
    """Return the parts of one axis that indices, of any shape, name."""
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    picked = x.index_select(axis, indices.flatten())
    return picked.unflatten(axis, indices.shape) if indices.dim() != 1 else picked
