"""What an exported model is made of, layer by layer: parameters, zeros, arithmetic. No torch."""

import csv
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from squeezed.foundation.files import atomic_path

Constants = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Layer:
    """One layer with parameters. Integer weights are nonzero where they differ from μ."""

    layer: str
    kind: str
    """`convolution`, `fully_connected` or `batch_norm`."""
    shape: str
    """Of the weight, such as 16x3x3x3."""
    parameters: int
    """Weights and biases; a batch norm's scale and shift (not its running statistics)."""
    nonzero: int
    sparsity: float
    """Share of the weights (not biases) that are exactly zero."""
    multiply_accumulates: int
    """For one image. None are counted for batch norms: they fold into convolutions."""
    remaining_multiply_accumulates: int
    """Those with a nonzero weight: what a kernel that skips zeros would compute."""


def list_layers(model: onnx.ModelProto) -> list[Layer]:
    """Return the layers in the order in which they are computed."""
    inferred = onnx.shape_inference.infer_shapes(model)
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in inferred.graph.value_info
    }
    layers = []
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            scale, shift = (constants[name] for name in node.input[1:3])
            layers.append(_layer(node.name, "batch_norm", scale != 0, shift, 0))
        elif node.op_type == "MatMulInteger":
            nonzero = constants[node.input[1]] != constants[node.input[3]]
            bias = constants.get(f"{node.name}.bias")
            layers.append(_layer(node.name, "fully_connected", nonzero.T, bias, 1))
        elif node.op_type in ("Conv", "Gemm"):
            nonzero = _nonzero(node.input[1], constants, made_by)
            bias = _values(node.input[2], constants, made_by) if len(node.input) > 2 else None
            convolution = node.op_type == "Conv"
            # Each weight of a filter is used once for each position of its output.
            uses = int(np.prod(shapes[node.output[0]][2:])) if convolution else 1
            kind = "convolution" if convolution else "fully_connected"
            layers.append(_layer(node.name, kind, nonzero, bias, uses))
    return layers


def write_layers(path: str | Path, layers: list[Layer]) -> None:
    """Write one line for each layer to a CSV file, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        columns = [field.name for field in dataclasses.fields(Layer)]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(layer) for layer in layers)


def totals(layers: list[Layer]) -> dict[str, int]:
    """Return the sums over all layers, named as in a result."""
    return {
        "parameters": sum(layer.parameters for layer in layers),
        "nonzero_parameters": sum(layer.nonzero for layer in layers),
        "multiply_accumulates": sum(layer.multiply_accumulates for layer in layers),
        "remaining_multiply_accumulates": sum(
            layer.remaining_multiply_accumulates for layer in layers
        ),
    }


def _layer(
    name: str,
    kind: str,
    nonzero: NDArray[np.bool_],
    bias: NDArray[np.generic] | None,
    uses: int,
) -> Layer:
    weights, kept = nonzero.size, int(np.count_nonzero(nonzero))
    return Layer(
        layer=name,
        kind=kind,
        shape="x".join(str(side) for side in nonzero.shape),
        parameters=weights + (0 if bias is None else bias.size),
        nonzero=kept + (0 if bias is None else int(np.count_nonzero(bias))),
        sparsity=1 - kept / weights,
        multiply_accumulates=weights * uses,
        remaining_multiply_accumulates=kept * uses,
    )


def _values(
    name: str, constants: Constants, made_by: Mapping[str, onnx.NodeProto]
) -> NDArray[np.generic]:
    return constants[name] if name in constants else constants[made_by[name].input[0]]


def _nonzero(
    name: str, constants: Constants, made_by: Mapping[str, onnx.NodeProto]
) -> NDArray[np.bool_]:
    if name in constants:
        return constants[name] != 0
    values, _, zero_point = made_by[name].input
    return constants[values] != constants[zero_point]
