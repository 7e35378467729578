"""The constants of a graph, and what follows from them alone: stored values of weights.

A weight may be stored as it is, or as integers behind a DequantizeLinear; on the way to the node
that reads it, it may be transposed or reshaped. Loads no torch.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

Array = NDArray[Any]

_LAYOUT = ("Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class Stored:
    """A constant as it lies in the file."""

    name: str
    """Of the tensor in the file."""
    values: Array
    """As a node reads them: transposed and reshaped, but integers where integers are stored."""
    nonzero: NDArray[np.bool_]
    """Where the stored integer differs from its zero point, or the value from zero."""
    kind: str
    """`float32`, `float16`, `int8`, `uint8`, `int4`, … ."""


class Constants:
    """Looks up what the values of a graph are that no input reaches."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Index the constants of `model`."""
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._made_by = {
            output: node for node in model.graph.node for output in node.output if output
        }
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._tensors[node.output[0]] = node.attribute[0].t

    def find(self, name: str) -> Stored | None:
        """Return the constant that the value `name` is or is computed from; None: it is none."""
        if name in self._tensors:
            tensor = self._tensors[name]
            values = numpy_helper.to_array(tensor)
            return Stored(name, values, values != 0, kind_of(tensor))
        node = self._made_by.get(name)
        if node is None or not node.input:
            return None
        if node.op_type == "DequantizeLinear":
            return self._dequantized(node)
        if node.op_type in ("Cast", "QuantizeLinear"):
            return self.find(node.input[0])
        if node.op_type in _LAYOUT:
            return self._laid_out(node)
        return None

    def array(self, name: str) -> Array | None:
        """Return the values of the constant `name`, or None."""
        stored = self.find(name) if name else None
        return None if stored is None else stored.values

    def differs(self, values: Array, zero_point: str, axis: int) -> NDArray[np.bool_]:
        """Return where integers differ from their zero point, one for all or for each channel."""
        zero = self.array(zero_point)
        if zero is None:
            return np.asarray(values != 0)
        if zero.size > 1:
            shape = [1] * values.ndim
            shape[axis] = -1
            zero = zero.reshape(shape)
        return np.asarray(values != zero)

    def _dequantized(self, node: onnx.NodeProto) -> Stored | None:
        stored = self.find(node.input[0])
        if stored is None:
            return None
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        zero_point = node.input[2] if len(node.input) > 2 else ""
        return replace(stored, nonzero=self.differs(stored.values, zero_point, axis))

    def _laid_out(self, node: onnx.NodeProto) -> Stored | None:
        stored = self.find(node.input[0])
        if stored is None:
            return None
        values, nonzero = stored.values, stored.nonzero
        if node.op_type == "Transpose":
            order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
            values, nonzero = values.transpose(order), nonzero.transpose(order)
        elif node.op_type == "Reshape":
            shape = self.array(node.input[1])
            if shape is None:
                return None
            # A zero keeps the side that stands at its place.
            sides = [s or values.shape[i] for i, s in enumerate(shape.tolist())]
            values, nonzero = values.reshape(sides), nonzero.reshape(sides)
        return replace(stored, values=values, nonzero=nonzero)


def kind_of(tensor: TensorProto) -> str:
    """Return how a tensor's values are stored, such as `float32`, `int8`, `int4`."""
    name = TensorProto.DataType.Name(tensor.data_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)
