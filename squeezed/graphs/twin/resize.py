"""Resize and Upsample: along each axis a product with a constant matrix, or a choice of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.parts import take
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Array, Call, Value, as_tensor


class ResizeAxis(nn.Module):
    """A product of one axis with a constant matrix."""

    matrix: torch.Tensor

    def __init__(self, matrix: torch.Tensor, axis: int) -> None:
        """Hold the matrix (new length, old length)."""
        super().__init__()
        self.axis = axis
        self.register_buffer("matrix", matrix)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` with another length along the axis."""
        moved = x.movedim(self.axis, -1) @ self.matrix.T
        return moved.movedim(-1, self.axis)


@operator("Upsample")
def upsample(build: Builder, call: Call) -> Value:
    """Enlarge by factors, as the oldest operator sets do."""
    scales = call.setting("scales", 1)
    mode = call.get("mode", "nearest")
    return _resize(build, call, call[0], scales, None, mode, "asymmetric", "floor")


@operator("Resize")
def resize(build: Builder, call: Call) -> Value:
    """Change the length of axes."""
    x, mode = call[0], call.get("mode", "nearest")
    if call.version < 11:
        return _resize(build, call, x, call.setting("scales", 1), None, mode, "asymmetric", "floor")
    scales, sizes = call.setting("scales", 2), None
    axes = [axis % x.rank for axis in call.get("axes") or range(x.rank)]
    target = call.optional(3)
    if not scales:
        if target is None or target.arrays is None:
            raise UserError(f"the twin cannot follow {call}, whose size depends on the images")
        first, second = (list(map(int, array)) for array in target.arrays)
        sizes = list(x.shape)
        lengths: dict[int, int] = {}
        for axis, length, other in zip(axes, first, second, strict=True):
            if x.shape[axis] is not None:
                if length != other:
                    raise UserError(f"{call} resizes by the batch, which the twin cannot follow")
                sizes[axis] = lengths[axis] = length
        policy = call.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratios = [new / x.shapes[0][axis] for axis, new in lengths.items()]
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            scales = [1.0] * x.rank
            for axis in axes:
                scales[axis] = ratio
                sizes[axis] = math.floor(ratio * x.shapes[0][axis] + 0.5)
        else:
            scales = None
    else:
        full = [1.0] * x.rank
        for axis, scale in zip(axes, scales, strict=True):
            full[axis] = scale
        scales = full
    transformation = call.get("coordinate_transformation_mode", "half_pixel")
    nearest = call.get("nearest_mode", "round_prefer_floor")
    return _resize(build, call, x, scales, sizes, mode, transformation, nearest)


def _resize(
    build: Builder,
    call: Call,
    x: Value,
    scales: list[float] | None,
    sizes: list[int | None] | None,
    mode: str,
    transformation: str,
    nearest: str,
) -> Value:
    """Write one step for each axis whose length changes."""
    for axis, length in enumerate(x.shape):
        if length is None:
            continue
        new = sizes[axis] if sizes is not None else None
        if scales is not None:
            scale = scales[axis]
            new = math.floor(length * scale) if new is None else new
        else:
            assert new is not None
            scale = new / length
        assert new is not None
        if new == length and scale == 1 and transformation != "tf_crop_and_resize":
            continue
        places = coordinates(call, axis, x.rank, length, new, scale, transformation)
        if mode == "nearest" and transformation != "tf_crop_and_resize":
            picked = _nearest(places, nearest).clip(0, length - 1)
            constant = Value(f"{call.name}_places_{axis}", arrays=(picked, picked))
            x = build.function(call, take, x, axis, constant)
        else:
            matrix = weights(call, places, length, scale, mode, nearest)
            if transformation == "tf_crop_and_resize":
                outside = (places < 0) | (places > length - 1)
                if outside.any():
                    raise UserError(f"the twin knows no Resize beyond the image's edge ({call})")
            module = ResizeAxis(as_tensor(matrix), axis)
            x = build.module(call, module, x, name=f"{build.name_of(call)}_axis_{axis}")
    return build.alias(x)


def coordinates(
    call: Call, axis: int, rank: int, length: int, new: int, scale: float, transformation: str
) -> Array:
    """Return where the new pixels lie among the old ones."""
    x = np.arange(new, dtype=np.float64)
    exact = scale * length
    if transformation == "align_corners":
        return x * 0 if exact == 1 else x * (length - 1) / (exact - 1)
    if transformation == "asymmetric":
        return x / scale
    if transformation == "half_pixel":
        return (x + 0.5) / scale - 0.5
    if transformation == "pytorch_half_pixel":
        return (x + 0.5) / scale - 0.5 if exact > 1 else x * 0 - 0.5
    if transformation == "half_pixel_symmetric":
        return length / 2 * (1 - new / exact) + (x + 0.5) / scale - 0.5
    if transformation == "tf_crop_and_resize":
        roi, axes = call.array(1), list(call.get("axes") or range(rank))
        assert roi is not None
        place = axes.index(axis) if axis in axes else -1
        start, end = (roi[place], roi[place + len(axes)]) if place >= 0 else (0.0, 1.0)
        if new == 1:
            return x * 0 + (start + end) * (length - 1) / 2
        return start * (length - 1) + x * (end - start) * (length - 1) / (new - 1)
    raise UserError(f"the twin knows no coordinates {transformation!r} ({call})")


def _nearest(places: Array, mode: str) -> Array:
    rounding: dict[str, Callable[[Array], Array]] = {
        "round_prefer_floor": lambda p: np.ceil(p - 0.5),
        "round_prefer_ceil": lambda p: np.floor(p + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    result: Array = rounding[mode](places).astype(np.int64)
    return result


def weights(call: Call, places: Array, length: int, scale: float, mode: str, nearest: str) -> Array:
    """Return the matrix (new length, old length) that interpolates at the places."""
    matrix = np.zeros((len(places), length))
    rows = np.arange(len(places))
    if mode == "nearest":
        matrix[rows, _nearest(places, nearest).clip(0, length - 1)] = 1
        return matrix
    shrink = min(scale, 1.0) if call.get("antialias", 0) else 1.0
    reach = math.ceil((1 if mode == "linear" else 2) / shrink)
    a = call.get("cubic_coeff_a", -0.75)
    base = np.floor(places)
    for offset in range(1 - reach, reach + 1):
        index = base + offset
        distance = np.abs(index - places) * shrink
        share = np.clip(1 - distance, 0, None) if mode == "linear" else _cubic(distance, a)
        if call.get("exclude_outside", 0):
            share = np.where((index >= 0) & (index < length), share, 0)
        np.add.at(matrix, (rows, index.clip(0, length - 1).astype(np.int64)), share)
    result: Array = matrix / matrix.sum(1, keepdims=True)
    return result


def _cubic(d: Array, a: float) -> Array:
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
