"""The nodes of a graph that have weights, in every form that weights are written in. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from squeezed.graphs.constants import Constants, Stored

AVERAGES = "averages"
"""The end of the name of a constant that averages over windows: no weights (see `export`)."""

# Operators and, among their inputs, the place of the weights, their zero point (None: the weights
# say themselves) and the bias. Of ONNX, then of ONNX Runtime.
_PLACES: dict[str, tuple[int, int | None, int | None]] = {
    "Conv": (1, None, 2),
    "ConvTranspose": (1, None, 2),
    "Gemm": (1, None, 2),
    "MatMul": (1, None, None),
    "QLinearConv": (3, 5, 8),
    "QLinearMatMul": (3, 5, None),
    "ConvInteger": (1, 3, None),
    "MatMulInteger": (1, 3, None),
    "FusedConv": (1, None, 2),
    "FusedGemm": (1, None, 2),
    "FusedMatMul": (1, None, None),
    "QGemm": (3, 5, 6),
    "MatMulIntegerToFloat": (1, 5, 6),
    "DynamicQuantizeMatMul": (1, 3, 4),
    "MatMulNBits": (1, None, 5),
}
CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "QLinearConv", "ConvInteger", "FusedConv"})

# What may stand between a product and the addition of its bias.
_BEFORE_BIAS = frozenset({"Cast", "Mul", "QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class WeightedNode:
    """A convolution or fully connected layer."""

    name: str
    node: onnx.NodeProto
    weight: Stored
    """Shape as its node reads it, turned to (out, in) for a fully connected layer."""
    bias: Stored | None

    @property
    def is_convolution(self) -> bool:
        """Whether the weight is a filter that moves over a map."""
        return self.node.op_type in CONVOLUTIONS


def weighted_nodes(model: onnx.ModelProto) -> list[WeightedNode]:
    """Return the layers with weights, in the order in which they are computed.

    A layer is called as its node is; a node without a name, as its output.
    """
    constants = Constants(model)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    made_by = {output: node for node in model.graph.node for output in node.output}
    found = []
    for node in model.graph.node:
        if node.op_type not in _PLACES:
            continue
        place, zero_place, bias_place = _PLACES[node.op_type]
        weight = constants.find(_input(node, place))
        if weight is None or constants.find(node.input[0]) is not None or _is_average(weight.name):
            continue
        if zero_place is not None:
            axis = weight.values.ndim - 1 if _is_transposed(node) else 0
            nonzero = constants.differs(weight.values, _input(node, zero_place), axis)
            weight = Stored(weight.name, weight.values, nonzero, weight.kind)
        bias = constants.find(_input(node, bias_place)) if bias_place is not None else None
        if bias is None and node.op_type not in CONVOLUTIONS:
            bias = _added_bias(node, constants, readers)
        if _is_transposed(node):
            weight = Stored(weight.name, weight.values.T, weight.nonzero.T, weight.kind)
        empty = _empty_channels(node, constants, made_by)
        if empty:
            kept = (slice(None), slice(-empty))
            weight = Stored(weight.name, weight.values[kept], weight.nonzero[kept], weight.kind)
        found.append(WeightedNode(node.name or node.output[0], node, weight, bias))
    return found


def _input(node: onnx.NodeProto, place: int | None) -> str:
    return node.input[place] if place is not None and place < len(node.input) else ""


def _is_average(name: str) -> bool:
    return name.rpartition(".")[2].startswith(AVERAGES)


def _is_transposed(node: onnx.NodeProto) -> bool:
    """Whether the node's weights are written as (in, out)."""
    if node.op_type in CONVOLUTIONS or node.op_type == "MatMulNBits":
        return False
    return not any(a.name == "transB" and a.i for a in node.attribute)


def _empty_channels(
    node: onnx.NodeProto, constants: Constants, made_by: Mapping[str, onnx.NodeProto]
) -> int:
    """Return how many channels of a convolution's input are there only for the kernel's sake.

    They are appended by a Pad (see `squeezed.steps.image_channels`) and always zero, so that their
    weights are no parameters.
    """
    if node.op_type not in CONVOLUTIONS:
        return 0
    before = made_by.get(node.input[0])
    while before is not None and before.op_type in ("QuantizeLinear", "DequantizeLinear"):
        before = made_by.get(before.input[0])
    if before is None or before.op_type != "Pad" or len(before.input) != 2:
        return 0
    pads = constants.array(before.input[1])
    return 0 if pads is None or len(pads) != 8 or pads[1] else int(pads[5])


def _added_bias(
    node: onnx.NodeProto, constants: Constants, readers: Mapping[str, list[onnx.NodeProto]]
) -> Stored | None:
    """Return the vector that is added to a product, and to it alone."""
    for _ in range(4):
        following = readers.get(node.output[0], [])
        if len(following) != 1:
            return None
        (following_node,) = following
        if following_node.op_type == "Add":
            others = [name for name in following_node.input if name != node.output[0]]
            bias = constants.find(others[0]) if others else None
            return bias if bias is not None and bias.values.ndim == 1 else None
        if following_node.op_type not in _BEFORE_BIAS:
            return None
        node = following_node
    return None
