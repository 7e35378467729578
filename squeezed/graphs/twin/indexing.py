"""Operators that pick, scatter and accumulate by index, and sums by Einstein's convention."""

import torch

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Call, Value


@operator("Einsum")
def einsum(build: Builder, call: Call) -> Value:
    """Sums of products by Einstein's convention."""
    return build.function(call, torch.einsum, call.get("equation").replace(" ", ""), *call.inputs)


@operator("CumSum")
def cumulative_sum(build: Builder, call: Call) -> Value:
    """Sums of all numbers up to each one."""
    axis = call.array(1)
    assert axis is not None
    backwards, exclusive = bool(call.get("reverse", 0)), bool(call.get("exclusive", 0))
    return build.function(
        call, running_sum, call[0], int(axis.reshape(-1)[0]), backwards, exclusive
    )


def running_sum(x: torch.Tensor, axis: int, backwards: bool, exclusive: bool) -> torch.Tensor:
    """Return the sums up to each number, or before it, or from the end on."""
    total = x.flip(axis).cumsum(axis).flip(axis) if backwards else x.cumsum(axis)
    return total - x if exclusive else total


@operator("Trilu")
def triangle(build: Builder, call: Call) -> Value:
    """The part above or below a diagonal."""
    k = call.array(1)
    target = torch.triu if call.get("upper", 1) else torch.tril
    return build.function(call, target, call[0], 0 if k is None else int(k.reshape(-1)[0]))


@operator("GatherElements")
def gather_elements(build: Builder, call: Call) -> Value:
    """Pick numbers along one axis, each by its own index."""
    return build.function(call, gather_along, call[0], call[1], call.get("axis", 0))


def gather_along(x: torch.Tensor, indices: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the numbers along an axis that indices name, counted from the end if negative."""
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    for other, size in enumerate(indices.shape):
        if other != axis % x.dim():
            x = x.narrow(other, 0, size)
    return x.gather(axis, indices)


@operator("ScatterElements")
def scatter_elements(build: Builder, call: Call) -> Value:
    """Put numbers along one axis, each by its own index."""
    how = call.get("reduction", "none")
    return build.function(call, scatter_along, call[0], call[1], call[2], call.get("axis", 0), how)


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def scatter_along(
    x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, axis: int, how: str
) -> torch.Tensor:
    """Return `x` with other numbers where indices along an axis say."""
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    if how == "none":
        return x.scatter(axis, indices, updates)
    return x.scatter_reduce(axis, indices, updates, _REDUCTIONS[how])


@operator("ScatterND")
def scatter_nd(build: Builder, call: Call) -> Value:
    """Put parts where several coordinates at once say."""
    how = call.get("reduction", "none")
    if how not in ("none", "add"):
        raise UserError(f"the twin knows no ScatterND with the reduction {how} ({call})")
    return build.function(call, put, call[0], call[1], call[2], how == "add")


def put(
    x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, accumulate: bool
) -> torch.Tensor:
    """Return `x` with other parts at the coordinates in the last axis of `indices`."""
    return x.index_put(tuple(indices.unbind(-1)), updates, accumulate)
