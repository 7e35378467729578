"""What flows along the edges of an ONNX graph while its twin is built.

The batch size stays free in the twin although shapes are computed on the way in many graphs:
everything is worked out twice, for two batch sizes. What comes out the same is constant; what
differs follows the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, helper, numpy_helper
from torch import fx, nn

from squeezed.foundation.errors import UserError

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Grid:
    """Which real numbers the integers of a quantized tensor stand for: (q − zero point) · scale."""

    scale: Array
    """float32, shape () or (channels,), or that of the tensor where blocks have their own."""
    zero_point: Array
    """Integers as float32, the scale's shape."""
    low: int
    high: int
    axis: int | None = None
    """The channels' axis; None where one scale holds for all."""

    def equals(self, other: Grid | None) -> bool:
        """Whether both stand for the same numbers."""
        return (
            other is not None
            and (self.low, self.high, self.axis) == (other.low, other.high, other.axis)
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    @property
    def one_scale(self) -> bool:
        """Whether one scale holds for the whole tensor."""
        return self.scale.ndim == 0

    @property
    def clamps_at_zero(self) -> bool:
        """Whether the lowest integer stands for zero, so that rounding to the grid is a ReLU."""
        return bool(np.all(self.zero_point == self.low))


@dataclass(eq=False)
class Scale:
    """A scale that the graph computes from the activations, times constants: `factor` · origin."""

    origin: Value
    zero_point: Value | None = None
    factor: Array = field(default_factory=lambda: np.ones((), np.float32))


@dataclass(eq=False)
class Value:
    """One tensor of the ONNX graph: known arrays, or a node of the twin."""

    name: str
    node: fx.Node | None = None
    metas: tuple[torch.Tensor, torch.Tensor] | None = None
    """Stand-ins for the node's result for either batch size: shape and dtype, no numbers."""
    arrays: tuple[Array, Array] | None = None
    """What is known without an image, for either batch size (the same object if they agree)."""
    producer: Call | None = None
    layer: nn.Module | None = None
    """The convolution or fully connected layer whose plain result this is."""
    grid: Grid | Scale | None = None
    """Set where ONNX holds integers: the node carries the real numbers they stand for."""
    lattice: Grid | None = None
    """The grid that the (real) numbers are known to lie on already."""
    times_scale: Scale | None = None
    """Set where the node carries the value times a scale, until the graph multiplies by it."""
    is_scale: Scale | None = None
    nonnegative: bool = False

    @property
    def known(self) -> bool:
        """Whether the value does not depend on the images."""
        return self.arrays is not None

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape for either batch size."""
        pair = self.arrays or self.metas
        assert pair is not None
        first, second = pair
        return tuple(first.shape), tuple(second.shape)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape, with None where it follows the batch."""
        return tuple(a if a == b else None for a, b in zip(*self.shapes, strict=True))

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shapes[0])

    @property
    def array(self) -> Array:
        """The constant; only for a known value that does not follow the batch."""
        assert self.arrays is not None
        return self.arrays[0]

    @property
    def constant(self) -> bool:
        """Whether the value depends neither on the images nor on their number."""
        return self.arrays is not None and same(self.arrays)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the twin's tensor."""
        assert self.metas is not None
        return self.metas[0].dtype

    @property
    def floating(self) -> bool:
        """Whether it holds floating-point numbers."""
        if self.arrays is not None:
            return is_float(self.arrays[0])
        return self.dtype.is_floating_point


def same(pair: tuple[Array, Array]) -> bool:
    """Whether both arrays are equal."""
    first, second = pair
    return first is second or (first.shape == second.shape and np.array_equal(first, second))


def is_float(array: Array) -> bool:
    """Whether an array holds floating-point numbers, bfloat16 and float8 included."""
    return array.dtype.kind == "f" or "float" in array.dtype.name


def as_tensor(array: Array) -> torch.Tensor:
    """Return a copy as a tensor; all floating-point numbers become float32."""
    if is_float(array):
        return torch.tensor(np.asarray(array, dtype=np.float32))
    if array.dtype.kind == "b":
        return torch.tensor(array)
    return torch.tensor(np.asarray(array, dtype=np.int64))


class Call:
    """One node of the ONNX graph, with its inputs as values."""

    def __init__(self, proto: NodeProto, inputs: Sequence[Value | None], version: int) -> None:
        """Wrap `proto`, whose operator set has version `version`."""
        self.proto = proto
        self.op = proto.op_type
        self.domain = "" if proto.domain == "ai.onnx" else proto.domain
        self.outputs = list(proto.output)
        self.name = proto.name or f"{proto.op_type}_{proto.output[0]}"
        self.version = version
        self._inputs = list(inputs)
        self._attributes = {a.name: _attribute(a) for a in proto.attribute}
        self._read: set[str] = set()

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def inputs(self) -> list[Value]:
        """The inputs that are there."""
        return [value for value in self._inputs if value is not None]

    def __getitem__(self, position: int) -> Value:
        value = self.optional(position)
        if value is None:
            raise UserError(f"{self} lacks its input {position}; the ONNX file is not valid")
        return value

    def optional(self, position: int) -> Value | None:
        """Return an input, or None where it is left out."""
        return self._inputs[position] if position < len(self._inputs) else None

    def as_operator(self, op: str, inputs: Sequence[Value | None], **attributes: Any) -> Call:
        """Return this call as one of another operator, with other inputs and further attributes."""
        other = copy(self)
        other.op, other.domain, other._inputs = op, "", list(inputs)
        other._attributes = {**self._attributes, **attributes}
        return other

    def replace_inputs(self, by: Callable[[Value], Value]) -> None:
        """Put other values in the place of the inputs."""
        self._inputs = [None if value is None else by(value) for value in self._inputs]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute: a number, a string, a list or an array."""
        self._read.add(name)
        return self._attributes.get(name, default)

    @property
    def ignored(self) -> list[str]:
        """The attributes that nobody asked for."""
        return sorted(set(self._attributes) - self._read)

    def array(self, position: int) -> Array | None:
        """Return an input that has to be constant, or None where it is left out."""
        value = self.optional(position)
        if value is None:
            return None
        if not value.constant:
            raise UserError(
                f"the twin needs input {position} of {self} to be constant, and it is computed"
            )
        return value.array

    def setting(self, name: str, position: int, default: Any = None) -> Any:
        """Return what older operator sets have as an attribute and newer ones as an input.

        Arrays come as nested lists, scalars as numbers.
        """
        if name in self._attributes:
            return self.get(name)
        array = self.array(position)
        return default if array is None else array.tolist()

    def __str__(self) -> str:
        domain = f"{self.domain}." if self.domain else ""
        return f"node {self.name} ({domain}{self.op})"


def _attribute(attribute: AttributeProto) -> Any:
    """Return an attribute's value with text as `str` and a tensor as an array."""
    value = helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.TENSOR:
        return numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode()
    if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS):
        return list(value)
    if attribute.type == AttributeProto.STRINGS:
        return [text.decode() for text in value]
    return value
