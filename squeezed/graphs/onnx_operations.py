"""The ONNX form of each function that a network calls between its layers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx

from squeezed.graphs.graph_writer import GraphWriter, shape_of, unknown


def write_operation(writer: GraphWriter, node: fx.Node) -> str:
    """Append a call and return the name of its result.

    Raises:
        UserError: if there is no ONNX form for it here.
    """
    method = node.op == "call_method"
    target = str(node.target) if method else getattr(node.target, "__name__", str(node.target))
    if target not in OPERATIONS:
        raise unknown(target, node.name)
    return OPERATIONS[target](writer, node, node.name)


def flattened(writer: GraphWriter, source: str, name: str) -> str:
    """Append the flattening of all dimensions but the first.

    A Reshape: through Flatten, ONNX Runtime does not see the quantization behind it and leaves the
    convolution before it in float32.
    """
    shape = writer.constant("flattened_shape", np.array([0, -1], dtype=np.int64))
    return writer.emit("Reshape", [source, shape], name)


def pair(value: Any) -> tuple[int, int]:
    """Return a size that may be given once for both sides as two numbers."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def adaptive_average_pool(
    writer: GraphWriter, source: str, name: str, shape: tuple[int, ...], size: tuple[int, int]
) -> str:
    """Average over windows whose bounds torch derives from both sizes."""
    if size == shape[2:]:
        return source
    if size == (1, 1):
        return writer.emit("GlobalAveragePool", [source], name)
    # Windows can overlap or repeat, which AveragePool cannot: averages as matrices can.
    rows = writer.constant(f"{name}.rows", _averages(shape[2], size[0]))
    columns = writer.constant(f"{name}.columns", _averages(shape[3], size[1]).T)
    narrowed = writer.emit("MatMul", [rows, source], f"{name}.over_rows")
    return writer.emit("MatMul", [narrowed, columns], f"{name}.over_columns")


def _averages(inputs: int, outputs: int) -> NDArray[np.float32]:
    """Return the matrix (outputs, inputs) of torch's adaptive average pooling along one side."""
    matrix = np.zeros((outputs, inputs), dtype=np.float32)
    for index in range(outputs):
        start, stop = index * inputs // outputs, -((index + 1) * inputs // -outputs)
        matrix[index, start:stop] = 1 / (stop - start)
    return matrix


def _binary(kind: str) -> Callable[[GraphWriter, fx.Node, str], str]:
    def write(writer: GraphWriter, node: fx.Node, name: str) -> str:
        return writer.emit(kind, [writer.value(argument, name) for argument in node.args], name)

    return write


def _unary(kind: str) -> Callable[[GraphWriter, fx.Node, str], str]:
    def write(writer: GraphWriter, node: fx.Node, name: str) -> str:
        return writer.emit(kind, [writer.value(node.args[0], name)], name)

    return write


def _flatten_call(writer: GraphWriter, node: fx.Node, name: str) -> str:
    arguments = (*node.args[1:], *node.kwargs.values())
    if arguments not in ((1,), (1, -1)):
        raise unknown(f"flattening with {arguments}", name)
    return flattened(writer, writer.value(node.args[0], name), name)


def _concatenate(writer: GraphWriter, node: fx.Node, name: str) -> str:
    axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    parts = node.args[0]
    assert isinstance(parts, list | tuple)
    return writer.emit("Concat", [writer.value(part, name) for part in parts], name, axis=axis)


def _adaptive_call(writer: GraphWriter, node: fx.Node, name: str) -> str:
    source, size = node.args
    assert isinstance(source, fx.Node)
    value = writer.value(source, name)
    return adaptive_average_pool(writer, value, name, shape_of(source), pair(size))


OPERATIONS: dict[str, Callable[[GraphWriter, fx.Node, str], str]] = {
    "add": _binary("Add"),
    "iadd": _binary("Add"),
    "sub": _binary("Sub"),
    "mul": _binary("Mul"),
    "imul": _binary("Mul"),
    "truediv": _binary("Div"),
    "relu": _unary("Relu"),
    "sigmoid": _unary("Sigmoid"),
    "hardswish": _unary("HardSwish"),
    "flatten": _flatten_call,
    "cat": _concatenate,
    "adaptive_avg_pool2d": _adaptive_call,
}
