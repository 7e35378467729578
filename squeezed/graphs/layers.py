"""What a graph is made of, layer by layer: parameters, zeros, arithmetic. Loads no torch."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from squeezed.foundation.files import atomic_path
from squeezed.graphs.constants import Constants, Stored
from squeezed.graphs.shapes import shapes_for_one_image
from squeezed.graphs.weighted_nodes import WeightedNode, weighted_nodes

_NORMS = {"BatchNormalization": "batch_norm", "LayerNormalization": "layer_norm"}


@dataclass(frozen=True)
class Layer:
    """One layer with parameters. Integer weights are nonzero where they differ from zero's."""

    layer: str
    kind: str
    """`convolution`, `fully_connected`, `batch_norm` or `layer_norm`."""
    shape: str
    """Of the weight, such as 16x3x3x3 or, fully connected, outputs x inputs."""
    parameters: int
    """Weights and biases; a norm's scale and shift (not its running statistics)."""
    nonzero: int
    sparsity: float
    """Share of the weights (not biases) that are exactly zero."""
    multiply_accumulates: int
    """For one image. None are counted for norms."""
    remaining_multiply_accumulates: int
    """Those with a nonzero weight: what a kernel that skips zeros would compute."""
    stored: str
    """How the weights lie in the file: `float32`, `float16`, `int8`, `uint8`, `int4`, … ."""
    executed: str
    """In which precision the engine computed it; empty where that was not asked."""


def list_layers(model: onnx.ModelProto, executed: Mapping[str, str] | None = None) -> list[Layer]:
    """Return the layers in the order in which they are computed.

    Args:
        model: any graph: in float, with QuantizeLinear and DequantizeLinear, or with operators on
            integers.
        executed: what an engine's `executed_precisions` returned.
    """
    executed = executed or {}
    weighted = {layer.node.output[0]: layer for layer in weighted_nodes(model)}
    inputs = [layer.node.input[0] for layer in weighted.values()]
    shapes = shapes_for_one_image(model, [*weighted, *inputs])
    constants = Constants(model)
    counted: set[str] = set()
    layers = []
    for node in model.graph.node:
        if node.op_type in _NORMS:
            scale, shift = (constants.find(name) for name in (*node.input[1:3], "")[:2])
            if scale is not None:
                layers.append(_layer(node.name, _NORMS[node.op_type], scale, shift, 0, "", counted))
        elif node.output and node.output[0] in weighted:
            layer = weighted[node.output[0]]
            kind = "convolution" if layer.is_convolution else "fully_connected"
            uses = _uses(layer, shapes)
            precision = executed.get(layer.name, "")
            layers.append(
                _layer(layer.name, kind, layer.weight, layer.bias, uses, precision, counted)
            )
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


def _uses(layer: WeightedNode, shapes: Mapping[str, Sequence[int]]) -> int:
    """Return how often each weight is multiplied for one image."""
    node = layer.node
    if node.op_type == "ConvTranspose":
        return int(np.prod(shapes[node.input[0]][2:]))
    output = shapes[node.output[0]]
    if any(a.name == "channels_last" and a.i for a in node.attribute):
        return int(np.prod(output[1:-1]))
    # A filter's weight is used at each position of the map, a matrix's for each row.
    return int(np.prod(output[2:] if layer.is_convolution else output[:-1]))


def _layer(
    name: str,
    kind: str,
    weight: Stored,
    bias: Stored | None,
    uses: int,
    executed: str,
    counted: set[str],
) -> Layer:
    """Describe one layer; parameters that an earlier layer has, too, are not counted again."""
    size, kept = weight.nonzero.size, int(np.count_nonzero(weight.nonzero))
    parameters = nonzero = 0
    for stored in (weight, bias):
        if stored is not None and stored.name not in counted:
            counted.add(stored.name)
            parameters += stored.nonzero.size
            nonzero += int(np.count_nonzero(stored.nonzero))
    return Layer(
        layer=name,
        kind=kind,
        shape="x".join(str(side) for side in weight.nonzero.shape),
        parameters=parameters,
        nonzero=nonzero,
        sparsity=(size - kept) / size,
        multiply_accumulates=size * uses,
        remaining_multiply_accumulates=kept * uses,
        stored=weight.kind,
        executed=executed,
    )
