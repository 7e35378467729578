"""Write an ONNX graph for a TFLite file: its tensors, constants, grids and layouts.

Four-dimensional values lie channels first in the graph, and what is stored in integers is written
as real numbers behind QuantizeLinear and DequantizeLinear.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from squeezed.foundation.errors import UserError

Array = NDArray[Any]
Grid = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Scales and zero points, one or one for each channel."""

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
"""Channels, of images in batches."""
NO_ACTIVATION, RELU = 0, 1
LIMITS = {2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Of the other activations that a layer may have within it, by the schema's number."""
_DTYPES: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    9: np.int8,
}
"""By the schema's number."""


@dataclass(frozen=True)
class Operation:
    """One operation of the file."""

    kind: str
    """As the schema calls it, such as `CONV_2D`."""
    inputs: list[int]
    """Its tensors; what is left out of them at the end is not there."""
    output: int
    options: Any
    """The schema's own object."""
    name: str
    """Of its output."""


class TfliteWriter:
    """The graph under construction."""

    def __init__(self, model: Any, kinds: type, name: str) -> None:
        """Begin.

        Args:
            model: the file, as the schema's `ModelT`.
            kinds: the schema's numbers of operators by name.
            name: of the file, for messages.

        Raises:
            UserError: if the file has another number of graphs, inputs or outputs than one.
        """
        self._model, self._name = model, name
        if len(model.subgraphs) != 1:
            raise UserError(f"{name} has {len(model.subgraphs)} graphs, of which no twin is made")
        (graph,) = model.subgraphs
        (self.image,), (self.answer,) = map(_integers, (graph.inputs, graph.outputs))
        self._tensors: list[Any] = graph.tensors
        called = {number: kind for kind, number in vars(kinds).items() if kind.isupper()}
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
        self.operations = [
            Operation(
                called.get(codes[each.opcodeIndex], "an unknown one"),
                [tensor for tensor in _integers(each.inputs) if tensor >= 0],
                int(each.outputs[0]),
                each.builtinOptions,
                self.name_of(int(each.outputs[0])),
            )
            for each in graph.operators
        ]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.values: dict[int, str] = {}
        """The names of real numbers in the graph, by the file's tensor."""
        self._taken: set[str] = set()

    # ------------------------------------------------------------------ asking the file

    def name_of(self, tensor: int) -> str:
        """Return what a tensor is called."""
        name = self._tensors[tensor].name
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)

    def shape(self, tensor: int) -> list[int]:
        """Return a tensor's shape for one image, channels last."""
        shape = self._tensors[tensor].shape
        return [] if shape is None else _integers(shape)

    def dtype(self, tensor: int) -> type[np.generic]:
        """Return the type of a tensor's numbers.

        Raises:
            UserError: if it is none that is known here, such as 4 bits.
        """
        found = _DTYPES.get(self._tensors[tensor].type)
        if found is None:
            raise self.unknown(tensor, "in a type of numbers")
        return found

    def stored(self, tensor: int) -> Array:
        """Return a constant as the file holds it.

        Raises:
            UserError: if it is none.
        """
        data = self._model.buffers[self._tensors[tensor].buffer].data
        if data is None:
            raise self.unknown(tensor, "that is no constant")
        return np.asarray(data, np.uint8).view(self.dtype(tensor)).reshape(self.shape(tensor))

    def unknown(self, tensor: int, what: str) -> UserError:
        """Return the error that a tensor is something of which no twin can be made."""
        return UserError(
            f"{self._name} has {self.name_of(tensor)!r} {what} of which no twin can be made"
        )

    # ------------------------------------------------------------------ writing

    def value(self, tensor: int) -> str:
        """Return the name of a tensor's real numbers, channels first where there are four axes."""
        if tensor not in self.values:
            array = self.real(tensor)
            if array.ndim == 4:
                array = array.transpose(TO_FIRST)
            elif array.ndim == 1:  # along the channels of images
                array = array.reshape(1, -1, 1, 1)
            self.values[tensor] = self.constant(self.name_of(tensor), array)
        return self.values[tensor]

    def weights(self, tensor: int, axes: Sequence[int], name: str) -> str:
        """Write a layer's weights as they are stored, with `axes` in ONNX's order, dequantized."""
        if tensor in self.values:  # half-precision ones, of which an operation makes floats
            return self.transposed(self.values[tensor], axes)
        stored, grid = self.stored(tensor), self._grid(tensor)
        array = stored.transpose(axes)
        if grid is None:
            return self.constant(name, array.astype(np.float32))
        axis = [*axes].index(int(self._tensors[tensor].quantization.quantizedDimension))
        return self._as_real(self.constant(name, array), grid, array.dtype, axis)

    def constant(self, name: str, array: Array) -> str:
        """Write a constant; returns its name."""
        name = self._unique(name)
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def add(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Write a node, whose output is called as it is; returns the name."""
        name = self._unique(name)
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def done(self, operation: Operation, value: str, activation: int = NO_ACTIVATION) -> None:
        """Keep an operation's result: behind its activation, rounded as the file stores it.

        Raises:
            UserError: if the activation is not known.
        """
        if activation == RELU:
            value = self.add("Relu", value, name=f"{value}/relu")
        elif activation in LIMITS:
            limits = [
                self.constant(f"{value}/{end}", np.array(limit, np.float32))
                for end, limit in zip(("low", "high"), LIMITS[activation], strict=True)
            ]
            value = self.add("Clip", value, *limits, name=f"{value}/clip")
        elif activation != NO_ACTIVATION:
            raise self.unknown(operation.output, "with an activation")
        self.values[operation.output] = self._rounded(value, operation.output)

    def flattened(self, tensor: int, shape: Sequence[int], name: str) -> str:
        """Write a value with another shape of each image, its numbers in the file's order.

        Raises:
            UserError: if numbers would move from image to image.
        """
        own = self.shape(tensor)
        if int(np.prod(own[1:])) != int(np.prod(shape)):
            raise self.unknown(tensor, "reshaped across images")
        value = self.value(tensor)
        if own[1:] == [*shape]:
            return value
        if own[1:3] != [1, 1]:
            value = self.channels_last(value, tensor)
        target = self.constant(f"{name}/shape", np.array([-1, *shape], np.int64))
        return self.add("Reshape", value, target, name=f"{name}/reshaped")

    def channels_first(self, value: str, tensor: int) -> str:
        """Write what the file lays channels last as the graph lays it."""
        return self.transposed(value, TO_FIRST) if len(self.shape(tensor)) == 4 else value

    def channels_last(self, value: str, tensor: int) -> str:
        """Write what the graph lays channels first as the file lays it."""
        return self.transposed(value, TO_LAST) if len(self.shape(tensor)) == 4 else value

    def transposed(self, value: str, axes: Sequence[int]) -> str:
        """Write a value with its axes in another order."""
        if [*axes] == sorted(axes):
            return value
        return self.add("Transpose", value, name=f"{value}/transposed", perm=[*axes])

    def dequantized(self, value: str, tensor: int) -> str:
        """Write the real numbers that a tensor's stand for.

        Raises:
            UserError: if they are integers without a scale.
        """
        kind = np.dtype(self.dtype(tensor))
        if kind.kind == "f":
            return value
        return self._as_real(value, self._one_grid(tensor), kind)

    def _rounded(self, value: str, tensor: int) -> str:
        kind = np.dtype(self.dtype(tensor))
        if kind.kind == "f":
            return value
        if kind.itemsize != 1:
            raise self.unknown(tensor, f"in {kind}")
        scale, zero = self._scale_and_zero(value, self._one_grid(tensor), kind)
        whole = self.add("QuantizeLinear", value, scale, zero, name=f"{value}/whole")
        return self.add("DequantizeLinear", whole, scale, zero, name=f"{value}/real")

    def real(self, tensor: int) -> Array:
        """Return a constant's real numbers; integers without a scale are what they are."""
        values = self.stored(tensor)
        if values.dtype.kind == "f":
            return values.astype(np.float32)
        if self._grid(tensor) is None:
            return values
        (scale,), (zero,) = self._one_grid(tensor)
        return np.asarray((values.astype(np.float32) - np.float32(zero)) * scale)

    def _grid(self, tensor: int) -> Grid | None:
        details = self._tensors[tensor].quantization
        if details is None or details.scale is None or not len(details.scale):
            return None
        scale = np.asarray(details.scale, np.float32)
        return scale, np.resize(np.asarray(details.zeroPoint, np.int64), scale.shape)

    def _one_grid(self, tensor: int) -> Grid:
        grid = self._grid(tensor)
        if grid is None or len(grid[0]) != 1:
            raise self.unknown(tensor, "in integers without one scale")
        return grid

    def _as_real(self, value: str, grid: Grid, kind: "np.dtype[Any]", axis: int = 0) -> str:
        options = {} if len(grid[0]) == 1 else {"axis": axis}
        scale, zero = self._scale_and_zero(value, grid, kind)
        # Sums of 32 bits have no zero point.
        inputs = [value, scale] if kind == np.int32 else [value, scale, zero]
        return self.add("DequantizeLinear", *inputs, name=f"{value}/real", **options)

    def _scale_and_zero(self, value: str, grid: Grid, kind: "np.dtype[Any]") -> tuple[str, str]:
        scale, zero = (each[0] if len(each) == 1 else each for each in grid)
        written = self.constant(f"{value}/scale", np.asarray(scale, np.float32))
        if kind == np.int32:
            return written, ""
        return written, self.constant(f"{value}/zero", np.asarray(zero, kind))

    def _unique(self, name: str) -> str:
        fresh, number = name, 1
        while fresh in self._taken:
            number += 1
            fresh = f"{name}_{number}"
        self._taken.add(fresh)
        return fresh


def _integers(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]
