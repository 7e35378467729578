"""Where products of uint8 and int8 saturate, and the same weights in a form that does not.

Graphs store int8 weights. x86 processors with VNNI (and Arm ones) multiply uint8 activations by
them exactly. Older ones add pairs of such products in 16 bits, where they saturate, silently.
uint8·uint8 products do not, on any processor: q + 128 with zero point μ + 128 is the same number.
Loads no torch.
"""

import functools

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

# The operations whose weights ONNX Runtime multiplies as integers, and which of their inputs are
# the weights and the weights' zero point.
_WEIGHT_INPUTS = {
    "MatMulInteger": (1, 3),
    "ConvInteger": (1, 3),
    "DequantizeLinear": (0, 2),
    "QLinearConv": (3, 5),
    "QLinearMatMul": (3, 5),
    "QGemm": (3, 5),
}


def shift_to_uint8(model: onnx.ModelProto) -> int:
    """Rewrite int8 weights as uint8, in place, and return how many tensors that were.

    A zero point for each channel is rewritten too; all its values become 128 if they were 0.
    """
    constants = {constant.name: constant for constant in model.graph.initializer}
    pairs = []
    for node in model.graph.node:
        if node.op_type not in _WEIGHT_INPUTS:
            continue
        values, zero = (
            node.input[place] if place < len(node.input) else ""
            for place in _WEIGHT_INPUTS[node.op_type]
        )
        if values in constants and constants[values].data_type == TensorProto.INT8:
            pairs.append((node, values, zero))
    shifted: set[str] = set()
    for node, values, zero in pairs:
        if not zero:
            zero = f"{values}_zero_point_of_uint8"
            if zero not in constants:
                made = numpy_helper.from_array(np.zeros((), np.int8), zero)
                constants[zero] = model.graph.initializer.add()
                constants[zero].CopyFrom(made)
            place = _WEIGHT_INPUTS[node.op_type][1]
            node.input.extend([""] * (place + 1 - len(node.input)))
            node.input[place] = zero
        for name in {values, zero} - shifted:
            shifted.add(name)
            wider = numpy_helper.to_array(constants[name]).astype(np.int16) + 128
            constants[name].CopyFrom(numpy_helper.from_array(wider.astype(np.uint8), name))
    return len({values for _, values, _ in pairs})


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
