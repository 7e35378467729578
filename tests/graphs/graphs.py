"""Graphs for the tests of this room: of tiny networks, in float and in 8 bits, and by hand."""

import dataclasses
import functools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from squeezed.graphs.export import export_network
from squeezed.steps.quantize import QuantizeSettings, quantize
from squeezed.steps.step import Workshop
from tests.steps.networks import CLASSES, SIZE, images, tiny_vgg

STATIC = QuantizeSettings("static", "channel", "minmax", 64, "all", "centred")
VARIANTS = {
    "channel": STATIC,
    "tensor": dataclasses.replace(STATIC, granularity="tensor"),
    "extremes": dataclasses.replace(STATIC, granularity="tensor", weight_range="extremes"),
    "dynamic": dataclasses.replace(STATIC, scheme="dynamic", layers="linear"),
}


class Images:
    """A split of images with labels that mean nothing."""

    def __init__(self, pixels, labels=None):
        self._images = np.asarray(pixels)
        self.labels = np.arange(len(self._images)) % CLASSES if labels is None else labels

    def __len__(self):
        return len(self.labels)

    def images(self, indices=None):
        return self._images if indices is None else self._images[indices]

    def batches(self, batch_size, indices=None):
        indices = np.arange(len(self)) if indices is None else indices
        for start in range(0, len(indices), batch_size):
            part = indices[start : start + batch_size]
            yield self._images[part], self.labels[part]


class Data:
    """A data set that has training images alone."""

    def __init__(self, train):
        self.train = train


def quantized(graph, settings=STATIC, pixels=None):
    """`graph` in 8 bits, calibrated on `pixels`."""
    pixels = images(64, SIZE, seed=7) if pixels is None else pixels
    return quantize(graph, settings, Workshop(Data(Images(pixels)), 0, "cpu", 1, None)).graph


@functools.cache
def _exported(widths):
    return export_network(tiny_vgg(widths=widths), SIZE)


def tiny_graph(variant=None, widths=(4, 6, 6, 8)):
    """A narrow VGG-6's graph: in float, or one of `VARIANTS`."""
    graph = onnx.ModelProto()
    graph.CopyFrom(_exported(widths))
    return graph if variant is None else quantized(graph, VARIANTS[variant])


def weights_alone_in_8_bits():
    """A graph that stores int8 and computes in float: its activations are not quantized."""
    graph = tiny_graph()
    constants = {constant.name: constant for constant in graph.graph.initializer}
    for node in list(graph.graph.node):
        if node.op_type not in ("Conv", "Gemm"):
            continue
        constant = constants[node.input[1]]
        values = numpy_helper.to_array(constant)
        scale = np.float32(np.abs(values).max() / 127)
        integers = np.rint(values / scale).astype(np.int8)
        graph.graph.initializer.extend(
            [
                numpy_helper.from_array(integers, f"{constant.name}_int8"),
                numpy_helper.from_array(scale, f"{constant.name}_scale"),
            ]
        )
        graph.graph.initializer.remove(constant)
        inputs = [f"{constant.name}_int8", f"{constant.name}_scale"]
        graph.graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [constant.name]))
    return graph


def by_hand(nodes, constants, shape=("n", 3, 8, 8)):
    """A model of `nodes` from `images` to `logits`."""
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
    )
