"""The layers with weights of a TFLite file, as LiteRT lists them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from squeezed.graphs.layers import Layer

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


@dataclass(frozen=True)
class TfliteLayer:
    """One layer."""

    layer: Layer
    """Called as its output."""
    output: int
    """The output's tensor."""


def tflite_layers(content: bytes) -> list[TfliteLayer]:
    """Return the layers of a file in the order in which they are computed. Needs LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    tensors = {each["index"]: each for each in interpreter.get_tensor_details()}
    return [
        _layer(interpreter, tensors, operation)
        for operation in interpreter._get_ops_details()
        if operation["op_name"] in LAYERS
    ]


def _layer(interpreter: Any, tensors: dict[int, dict[str, Any]], operation: Any) -> TfliteLayer:
    kind, output = operation["op_name"], int(operation["outputs"][0])
    constants = [int(index) for index in operation["inputs"][1:3] if index >= 0]
    if kind == "TRANSPOSE_CONV":  # its shape, its weights and what it reads
        constants, read = [constants[0]], int(operation["inputs"][2])
    else:
        read = output
    sizes, kept = [], []
    for index in constants:
        values = interpreter.get_tensor(index)
        zeros = tensors[index]["quantization_parameters"]["zero_points"]
        sizes.append(int(values.size))
        kept.append(int(np.count_nonzero(values != (int(zeros[0]) if len(zeros) else 0))))
    weight = tensors[constants[0]]
    # A filter's weight is used at each position of the map, a matrix's for each row.
    uses = int(np.prod(tensors[read]["shape"][1:-1]))
    layer = Layer(
        layer=str(tensors[output]["name"]),
        kind="fully_connected" if kind == "FULLY_CONNECTED" else "convolution",
        shape="x".join(str(side) for side in weight["shape"]),
        parameters=sum(sizes),
        nonzero=sum(kept),
        sparsity=1 - kept[0] / sizes[0],
        multiply_accumulates=uses * sizes[0],
        remaining_multiply_accumulates=uses * kept[0],
        stored=np.dtype(weight["dtype"]).name,
        executed="",
    )
    return TfliteLayer(layer, output)
