"""Run integer weights as fast as this processor can without a wrong sum. Loads no torch.

Exported weights are uint8 (Algorithm 1). x86 processors with VNNI (and Arm ones) multiply uint8
activations by int8 weights about 1.5 times as fast, exactly: q − 128 with zero point μ − 128 is
the same number. Processors without VNNI saturate such products at 16 bits, silently. So the
weights are shifted only where a product that would saturate comes out right.

Where μ − 128 is zero (`weight_range: centred`), ONNX Runtime convolves without gathering each
patch first, but only if the input channels are a multiple of four. An image has three: it gets an
empty fourth, which adds exactly nothing to each sum.
"""

import functools
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from squeezed.foundation.files import atomic_path

# The operations whose weights ONNX Runtime multiplies as integers, and which of their inputs are
# the weights and the weights' zero point.
_WEIGHT_INPUTS = {"MatMulInteger": (1, 3), "DequantizeLinear": (0, 2)}

# Input channels that ONNX Runtime's kernel for int8 weights without a zero point needs, or a
# multiple (MLAS, ConvSym).
_CHANNELS = 4


def prepare_weights(path: Path, folder: Path) -> Path:
    """Return the file to run on this processor: `path`, or a copy in `folder` with int8 weights.

    Args:
        path: an exported model of any variant.
        folder: where the copy goes.
    """
    if not int8_products_are_exact():
        return path
    model = onnx.load(path)
    if not shift_to_int8(model):
        return path
    pad_image_channels(model)
    copy = folder / path.name
    with atomic_path(copy) as temporary:
        onnx.save(model, temporary)
    return copy


def shift_to_int8(model: onnx.ModelProto) -> int:
    """Rewrite uint8 weights as int8, in place, and return how many layers that were."""
    constants = {constant.name: constant for constant in model.graph.initializer}
    shifted: set[str] = set()
    layers = 0
    for node in model.graph.node:
        if node.op_type not in _WEIGHT_INPUTS or len(node.input) < 3:
            continue
        names = [node.input[index] for index in _WEIGHT_INPUTS[node.op_type]]
        if not all(
            name in constants and constants[name].data_type == TensorProto.UINT8 for name in names
        ):
            continue
        layers += 1
        for name in set(names) - shifted:
            shifted.add(name)
            values = numpy_helper.to_array(constants[name]).astype(np.int16) - 128
            constants[name].CopyFrom(numpy_helper.from_array(values.astype(np.int8), name))
    return layers


def pad_image_channels(model: onnx.ModelProto) -> int:
    """Give a convolution of fewer than four channels the empty ones that make it fast, in place.

    That is the first one, which reads the image. Only int8 weights with zero point zero gain by
    it; what another layer reads, too, is left as it is.

    Returns:
        How many convolutions that were.
    """
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    padded = 0
    for node in [node for node in graph.node if node.op_type == "Conv"]:
        values, weights = (producers.get(name) for name in node.input[:2])
        if values is None or weights is None or not _is_centred_int8(weights, constants):
            continue
        integers = producers.get(values.input[0])
        if integers is None or integers.op_type != "QuantizeLinear":
            continue
        stored = constants[weights.input[0]]
        read = (*values.output, *integers.output, *weights.output, stored.name)
        if all(readers[name] == 1 for name in read) and _groups(node) == 1:
            padded += _widen(graph, node.name, integers, stored)
    return padded


def _widen(
    graph: onnx.GraphProto, name: str, quantize: onnx.NodeProto, weights: TensorProto
) -> bool:
    """Widen a convolution's weights and what `quantize` reads to four channels; say whether."""
    missing = _CHANNELS - weights.dims[1]
    if missing <= 0:
        return False
    before, after = (0, 0, 0, 0), (0, missing, 0, 0)
    wider = np.pad(numpy_helper.to_array(weights), tuple(zip(before, after, strict=True)))
    weights.CopyFrom(numpy_helper.from_array(wider, weights.name))
    pads, padded = f"{name}.channel_pads", f"{name}.padded_input"
    graph.initializer.append(numpy_helper.from_array(np.array(before + after, np.int64), pads))
    pad = helper.make_node("Pad", [quantize.input[0], pads], [padded], padded)
    graph.node.insert(list(graph.node).index(quantize), pad)
    quantize.input[0] = padded
    return True


def _is_centred_int8(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> bool:
    """Whether `node` dequantizes constant int8 values whose zero point is zero."""
    if node.op_type != "DequantizeLinear" or len(node.input) < 3:
        return False
    if not all(name in constants for name in node.input):
        return False
    values, _, zero_point = (constants[name] for name in node.input)
    return values.data_type == TensorProto.INT8 and not numpy_helper.to_array(zero_point).any()


def _groups(convolution: onnx.NodeProto) -> int:
    return next((a.i for a in convolution.attribute if a.name == "group"), 1)


@functools.cache
def int8_products_are_exact() -> bool:
    """Try whether sums of uint8·int8 products come out right here.

    255·127 + 255·127 does not fit in 16 bits: where the processor adds pairs of products in 16
    bits, the sum is wrong. One and many rows, because runtimes have kernels for each.
    """
    depth, columns = 64, 16
    weights = np.full((depth, columns), 127, dtype=np.int8)
    weights[:, 1::2] = -128
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    graph = helper.make_graph(
        [node],
        "products",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, ["n", depth])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, ["n", columns])],
        [numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for rows in (1, 32):
        activations = np.full((rows, depth), 255, dtype=np.uint8)
        (sums,) = session.run(None, {"a": activations})
        if not np.array_equal(sums, activations.astype(np.int32) @ weights.astype(np.int32)):
            return False
    return True
