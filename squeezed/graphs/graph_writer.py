"""Collects the nodes and constants of an ONNX graph."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, fx

from squeezed.foundation.errors import UserError


class GraphWriter:
    """Appends nodes and constants; a value is known by its name."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.value_of: dict[fx.Node, str] = {}
        """The name of each call's result."""
        self._uses: dict[str, int] = {}

    def append(self, kind: str, inputs: list[str], outputs: list[str], name: str) -> None:
        """Append a node with any number of outputs."""
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=name))

    def emit(
        self,
        kind: str,
        inputs: list[str],
        name: str,
        *,
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        """Append a node with one output and return the output's name."""
        if output is None:
            # A module may be called several times, such as ResNet's ReLUs.
            output = f"{name}/{kind}"
            self._uses[output] = self._uses.get(output, 0) + 1
            if self._uses[output] > 1:
                name = f"{name}#{self._uses[output]}"
                output = f"{name}/{kind}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Store a constant once and return its name."""
        if name not in self.initializers:
            # Scalars stay scalars: np.ascontiguousarray would make them vectors.
            contiguous = np.asarray(values, order="C")
            self.initializers[name] = numpy_helper.from_array(contiguous, name)
        return name

    def value(self, argument: Any, name: str) -> str:
        """Return the name of a call's argument, a number among them."""
        if isinstance(argument, fx.Node):
            return self.value_of[argument]
        return self.constant(f"{name}/{argument}", np.asarray(argument, dtype=np.float32))


def unknown(what: str, where: str) -> UserError:
    return UserError(
        f"cannot export {where}: no ONNX form is known for {what}; "
        "add one to squeezed/graphs/onnx_layers.py or onnx_operations.py"
    )


def as_numpy(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.detach().cpu().numpy()
    return array


def shape_of(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor_meta"].shape)
