"""From the bytes of a TFLite file to an ONNX graph."""

import struct

import numpy as np
import onnx
from onnx import TensorProto, helper

from squeezed.foundation.errors import UserError
from squeezed.graphs.tflite.operators import OPERATORS
from squeezed.graphs.tflite.writer import Operation, TfliteWriter

OPSET, IR_VERSION = 17, 8


def tflite_graph(content: bytes, name: str) -> onnx.ModelProto:
    """Return what a TFLite file computes as an ONNX graph with a free batch.

    The input is the file's own, channels last, in its own type; the output is float32: the real
    numbers that 8-bit ones stand for. A softmax at the end is left unrounded, whose 256 levels
    would let no gradient through. Layers are called as their outputs are, as LiteRT calls them.

    Args:
        content: of a file that LiteRT runs.
        name: of the file, for messages.

    Raises:
        UserError: if it has an operator, or one in a form, that is not known here.
    """
    try:
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(content, 0)
        return _converted(TfliteWriter(model, schema.BuiltinOperator, name), name)
    except (struct.error, IndexError, TypeError, AttributeError, ValueError, KeyError) as error:
        raise UserError(f"{name} has a part that cannot be read ({error!r})") from error


def _converted(graph: TfliteWriter, name: str) -> onnx.ModelProto:
    order = _needed(graph)
    unknown = sorted({each.kind for each in order} - OPERATORS.keys())
    if unknown:
        raise UserError(f"{name} has operators that no twin can be made of: {', '.join(unknown)}")
    image = graph.name_of(graph.image)
    graph.values[graph.image] = graph.channels_first(
        graph.dequantized(image, graph.image), graph.image
    )
    for operation in order:
        OPERATORS[operation.kind](graph, operation)
    answer = graph.channels_last(graph.values[graph.answer], graph.answer)
    element = helper.np_dtype_to_tensor_dtype(np.dtype(graph.dtype(graph.image)))
    shapes: list[list[int | str]] = [
        ["n", *graph.shape(tensor)[1:]] for tensor in (graph.image, graph.answer)
    ]
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "tflite",
            [helper.make_tensor_value_info(image, element, shapes[0])],
            [helper.make_tensor_value_info(answer, TensorProto.FLOAT, shapes[1])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


def _needed(graph: TfliteWriter) -> list[Operation]:
    """Return what the answer depends on, in the file's order.

    Shapes that are computed on the way are left out: those of the tensors are known.
    """
    makers = {operation.output: operation for operation in graph.operations}
    wanted, found = [graph.answer], set()
    while wanted:
        tensor = wanted.pop()
        if tensor == graph.image or tensor in found or tensor not in makers:
            continue
        found.add(tensor)
        operation = makers[tensor]
        wanted += operation.inputs[:1] if operation.kind == "RESHAPE" else operation.inputs
    return [operation for operation in graph.operations if operation.output in found]
