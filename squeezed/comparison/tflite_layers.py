"""The layers with weights of a TFLite file, as LiteRT lists them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


@dataclass(frozen=True)
class TfliteLayer:
    """One layer."""

    name: str
    """Of its output."""
    output: int
    """The output's tensor."""
    shape: str
    stored: str
    parameters: int
    nonzero: int


def tflite_layers(path: str | Path) -> list[TfliteLayer]:
    """Return the layers in the order in which they are computed. Needs ai-edge-litert."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    tensors = {each["index"]: each for each in interpreter.get_tensor_details()}
    found = []
    for operation in interpreter._get_ops_details():
        if operation["op_name"] not in LAYERS:
            continue
        constants = [int(index) for index in operation["inputs"][1:3] if index >= 0]
        sizes, kept = 0, 0
        for index in constants:
            values = interpreter.get_tensor(index)
            zeros = tensors[index]["quantization_parameters"]["zero_points"]
            zero = int(zeros[0]) if len(zeros) else 0
            sizes += values.size
            kept += int(np.count_nonzero(values != zero))
        weight = tensors[constants[0]]
        output = int(operation["outputs"][0])
        found.append(
            TfliteLayer(
                name=str(tensors[output]["name"]),
                output=output,
                shape="x".join(str(side) for side in weight["shape"]),
                stored=np.dtype(weight["dtype"]).name,
                parameters=sizes,
                nonzero=kept,
            )
        )
    return found
