"""Compute at build time what does not depend on the images."""

import numpy as np
from onnx import NodeProto
from onnx.reference import ReferenceEvaluator

from squeezed.foundation.errors import UserError, first_line
from squeezed.graphs.twin.values import Array, Call, Value, same


def fold(call: Call, opsets: dict[str, int]) -> list[Value]:
    """Return the outputs of a node whose inputs are all known, as onnx.reference computes them.

    Raises:
        UserError: if onnx.reference does not know the operator.
    """
    inputs = [call.optional(position) for position in range(len(call))]
    first = _run(call, inputs, 0, opsets)
    if all(value is None or value.constant for value in inputs):
        second = first
    else:
        second = _run(call, inputs, 1, opsets)
    return [
        Value(name, arrays=_pair(a, b))
        for name, a, b in zip(call.outputs, first, second, strict=False)
    ]


def shape_of(call: Call) -> Value:
    """Return what Shape or Size gives: known before any image is."""
    shapes = call[0].shapes
    if call.op == "Size":
        sizes = [np.array(np.prod(shape), dtype=np.int64) for shape in shapes]
    else:
        start, end = call.get("start", 0), call.get("end")
        sizes = [np.array(shape[start:end], dtype=np.int64) for shape in shapes]
    return Value(call.outputs[0], arrays=_pair(*sizes))


def _pair(first: Array, second: Array) -> tuple[Array, Array]:
    return (first, first) if same((first, second)) else (first, second)


def _run(call: Call, inputs: list[Value | None], which: int, opsets: dict[str, int]) -> list[Array]:
    """Return the outputs for one of the two batch sizes."""
    node = NodeProto()
    node.CopyFrom(call.proto)
    del node.input[:]
    feeds = {}
    for position, value in enumerate(inputs):
        node.input.append("" if value is None else f"input_{position}")
        if value is not None:
            assert value.arrays is not None
            feeds[f"input_{position}"] = value.arrays[which]
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        node.domain = ""  # com.microsoft's are the same, and these of all opsets
        opsets = {**opsets, "": max(opsets.get("", 0), 21)}
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(node, opsets=opsets).run(None, feeds)
    except Exception as error:  # numpy's and the evaluator's own exceptions share no other base
        raise UserError(
            f"the constant {call} cannot be computed by onnx.reference ({first_line(error)})"
        ) from error
    return [np.asarray(result) for result in results]
