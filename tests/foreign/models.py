"""Small classifiers as other tools write them, as ONNX files."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 5
FLOAT, HALF, UINT8, INT8 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.UINT8,
    TensorProto.INT8,
)


def classifier(
    *,
    size=(12, 10),
    channels=3,
    classes=CLASSES,
    batch="n",
    last=False,
    element=FLOAT,
    softmax=False,
    opset=17,
    seed=0,
    names=("x", "y"),
) -> onnx.ModelProto:
    """Return convolution, ReLU, average and a fully connected layer, with random weights."""
    random = np.random.default_rng(seed)
    kind = np.float16 if element == HALF else np.float32
    nodes, constants = [], []

    def constant(name, values):
        constants.append(numpy_helper.from_array(values, name))
        return name

    image, answer = names
    value = image
    if element in (UINT8, INT8):
        zero = constant(
            "zero",
            np.array(0 if element == UINT8 else -128, np.uint8 if element == UINT8 else np.int8),
        )
        scale = constant("scale", np.array(1 / 255, np.float32))
        nodes.append(helper.make_node("DequantizeLinear", [value, scale, zero], ["real"]))
        value = "real"
    if last:
        nodes.append(helper.make_node("Transpose", [value], ["first"], perm=[0, 3, 1, 2]))
        value = "first"
    weight = constant("w", random.normal(0, 0.5, (8, channels, 3, 3)).astype(kind))
    bias = constant("b", random.normal(0, 0.5, 8).astype(kind))
    matrix = constant("m", random.normal(0, 1, (8, classes)).astype(kind))
    offset = constant("o", random.normal(0, 1, classes).astype(kind))
    flat = constant("flat", np.array([batch if isinstance(batch, int) else -1, 8], np.int64))
    nodes += [
        helper.make_node("Conv", [value, weight, bias], ["c"], "conv", kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["a"], "average"),
        helper.make_node("Reshape", ["a", flat], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", matrix, offset], ["g" if softmax else answer], "linear"),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["g"], [answer], "softmax", axis=1))
    shape = [batch, *size, channels] if last else [batch, channels, *size]
    out = HALF if element == HALF else FLOAT
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info(image, element, shape)],
        [helper.make_tensor_value_info(answer, out, [batch, classes])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="other"
    )
    onnx.checker.check_model(model)
    return model


def bound_to_its_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """Add a constant with a row for each image to the answers, so that no other batch goes."""
    (answer,) = model.graph.output
    model.graph.node[-1].output[0] = "unbound"
    rows = np.zeros((batch, answer.type.tensor_type.shape.dim[1].dim_value), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(rows, "rows"))
    model.graph.node.append(helper.make_node("Add", ["unbound", "rows"], [answer.name], "bound"))
    onnx.checker.check_model(model)
    return model


def saved(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """Write a model as other tools do."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def images(n=7, size=(12, 10), channels=3, seed=1) -> np.ndarray:
    """Return random images with values of 8 bits, in [0, 1]."""
    random = np.random.default_rng(seed)
    return (random.integers(0, 256, (n, channels, *size)) / 255).astype(np.float32)
