"""Nodes in front of and behind a foreign graph, so that it maps images in [0, 1] to logits.

In front: grey from RGB where the model has one channel, range, mean and standard deviation, the
order of the channels, their place, 8-bit integers or other floats. Behind: floats, one row for each
image, logits from probabilities, the order of the classes. The nodes between are as they were.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from squeezed.graphs.foreign.answers import Answers
from squeezed.graphs.foreign.onnx_file import subgraphs
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.foreign.signature import Signature

INPUT, OUTPUT = "images", "logits"
LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue, as Pillow converts (ITU-R 601-2)."""
PIXEL = 1 / 255
PREFIX = "squeezed"


def wrap(
    model: onnx.ModelProto,
    signature: Signature,
    preprocessing: Preprocessing,
    answers: Answers,
    order: list[int],
    size: tuple[int, int],
) -> onnx.ModelProto:
    """Return a graph from `images` (n, 3, H, W) float32 in [0, 1] to `logits` (n, len(order)).

    Args:
        model: a foreign graph whose batch is free; left as it is.
        signature: the model's.
        preprocessing: what it wants.
        answers: what it gives.
        order: for each logit, the model's output.
        size: height and width of the images.
    """
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    opset = next(o.version for o in wrapped.opset_import if o.domain in ("", "ai.onnx"))
    names = {name: _renamed(graph, name) for name in (INPUT, OUTPUT)}
    first = names.get(signature.input, signature.input)
    last = names.get(signature.output, signature.output)
    front = _Nodes(graph, INPUT, f"{PREFIX}_in", opset)
    _before(front, signature, preprocessing)
    front.end_as(first)
    cut = _softmax_before(graph, last) if answers.probabilities else None
    behind = _Nodes(graph, cut or last, f"{PREFIX}_out", opset)
    outputs = signature.classes or max(order) + 1
    _after(behind, signature, answers, order, outputs, logits=bool(cut))
    behind.end_as(OUTPUT)
    nodes = [*front.nodes, *graph.node, *behind.nodes]
    del graph.node[:], graph.output[:]
    graph.node.extend(nodes)
    _drop_unused(graph, OUTPUT)
    kept = [value for value in graph.input if value.name != first]
    del graph.input[:], graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, *size]))
    graph.input.extend(kept)
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", len(order)]))
    return wrapped


class _Nodes:
    """Nodes in a row, each after the one before."""

    def __init__(self, graph: onnx.GraphProto, value: str, prefix: str, opset: int) -> None:
        self._graph, self._value, self._prefix, self.opset = graph, value, prefix, opset
        self.nodes: list[onnx.NodeProto] = []

    def add(self, operator: str, *constants: NDArray[np.generic], **attributes: Any) -> None:
        name = f"{self._prefix}/{len(self.nodes)}_{operator.lower()}"
        inputs = [self._value]
        for k, constant in enumerate(constants):
            inputs.append(f"{name}/{k}")
            self._graph.initializer.append(numpy_helper.from_array(constant, inputs[-1]))
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        self._value = name

    def end_as(self, name: str) -> None:
        if not self.nodes:
            self.add("Identity")
        self.nodes[-1].output[0] = name


def _before(nodes: _Nodes, signature: Signature, preprocessing: Preprocessing) -> None:
    channels = signature.channels
    shape = (1, channels, 1, 1)
    if channels == 1:
        nodes.add("Mul", np.array(LUMA, np.float32).reshape(1, 3, 1, 1))
        if nodes.opset < 13:
            nodes.add("ReduceSum", axes=[1], keepdims=1)
        else:
            nodes.add("ReduceSum", np.array([1], np.int64), keepdims=1)
    if not preprocessing.is_plain:
        mean, std = preprocessing.normalisation(channels)
        nodes.add("Sub", mean.reshape(shape))
        nodes.add("Div", std.reshape(shape))
    if preprocessing.channel_order == "BGR" and channels == 3:
        nodes.add("Gather", np.array([2, 1, 0], np.int64), axis=1)
    if signature.channels_last:
        nodes.add("Transpose", perm=[0, 2, 3, 1])
    if signature.whole_numbers:
        zero = (
            np.array(0, np.uint8)
            if signature.element == TensorProto.UINT8
            else np.array(-128, np.int8)
        )
        # Rounds, clamps and casts; and gradients pass it as they pass any rounding.
        nodes.add("QuantizeLinear", np.array(PIXEL, np.float32), zero)
    elif signature.element != TensorProto.FLOAT:
        nodes.add("Cast", to=signature.element)


def _after(
    nodes: _Nodes,
    signature: Signature,
    answers: Answers,
    order: list[int],
    outputs: int,
    logits: bool,
) -> None:
    if signature.output_element != TensorProto.FLOAT:
        nodes.add("Cast", to=TensorProto.FLOAT)
    nodes.add("Reshape", np.array([-1, outputs], np.int64))
    if answers.probabilities and not logits:
        if nodes.opset < 11:
            nodes.add("Clip", min=answers.floor, max=1.0)
        else:
            nodes.add("Clip", np.array(answers.floor, np.float32), np.array(1.0, np.float32))
        nodes.add("Log")
    if order != list(range(outputs)):
        nodes.add("Gather", np.array(order, np.int64), axis=1)


def _softmax_before(graph: onnx.GraphProto, output: str) -> str | None:
    """Return the logits of which a graph's last node makes probabilities, if it is so."""
    for node in graph.node:
        if output in node.output:
            return node.input[0] if node.op_type == "Softmax" else None
    return None


def _drop_unused(graph: onnx.GraphProto, output: str) -> None:
    """Take out the nodes that lead to no output, such as a softmax that was passed by."""
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed.update(_reads(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _reads(node: onnx.NodeProto) -> set[str]:
    found = set(node.input)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for graph in subgraphs(inner):
                found.update(name for each in graph.node for name in each.input)
                found.update(value.name for value in graph.output)
    return found


def _renamed(graph: onnx.GraphProto, name: str) -> str:
    """Give a value another name, everywhere; returns it."""
    new = f"{name} of the model"
    for inner in subgraphs(graph):
        for node in inner.node:
            for values in (node.input, node.output):
                for k, value in enumerate(values):
                    if value == name:
                        values[k] = new
        for value in (*inner.input, *inner.output, *inner.value_info, *inner.initializer):
            if value.name == name:
                value.name = new
    return new
