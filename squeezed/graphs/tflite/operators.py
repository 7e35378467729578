"""The operators of TFLite files that a twin can be made of.

Sources: the schema of TensorFlow Lite, and its reference kernels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from squeezed.graphs.tflite.writer import TO_FIRST, Operation, TfliteWriter

Handler = Callable[[TfliteWriter, Operation], None]
OPERATORS: dict[str, Handler] = {}
"""By the schema's name; each keeps its operation's result in the writer."""
_SAME = 0
_HEIGHT_AND_WIDTH = [1, 2]


def operator(*names: str) -> Callable[[Handler], Handler]:
    """Register a function for operators."""

    def register(handler: Handler) -> Handler:
        OPERATORS.update(dict.fromkeys(names, handler))
        return handler

    return register


@operator("CONV_2D", "DEPTHWISE_CONV_2D")
def convolution(graph: TfliteWriter, operation: Operation) -> None:
    """Weights lie (out, height, width, in), and of a depthwise layer (1, height, width, out)."""
    image, weight, *bias = operation.inputs
    options, name = operation.options, operation.name
    (_, height, width, inner), (*_, channels) = graph.shape(weight), graph.shape(image)
    depthwise = operation.kind == "DEPTHWISE_CONV_2D"
    kernel = [height, width]
    dilations = [options.dilationHFactor, options.dilationWFactor]
    inputs = [
        graph.value(image),
        graph.weights(weight, (3, 0, 1, 2) if depthwise else (0, 3, 1, 2), f"{name}/weight"),
        *(graph.weights(tensor, (0,), f"{name}/bias") for tensor in bias),
    ]
    value = graph.add(
        "Conv",
        *inputs,
        name=name,
        kernel_shape=kernel,
        strides=[options.strideH, options.strideW],
        dilations=dilations,
        pads=_pads(graph.shape(image)[1:3], kernel, options, dilations),
        group=channels if depthwise else channels // inner,
    )
    graph.done(operation, value, options.fusedActivationFunction)


@operator("FULLY_CONNECTED")
def fully_connected(graph: TfliteWriter, operation: Operation) -> None:
    """Weights lie (out, in); what comes in is flattened in the file's order."""
    given, weight, *bias = operation.inputs
    name = operation.name
    if len(graph.shape(operation.output)) != 2 or operation.options.weightsFormat:
        raise graph.unknown(operation.output, "in a form of fully connected layers")
    inputs = [
        graph.flattened(given, graph.shape(weight)[1:], name),
        graph.weights(weight, (0, 1), f"{name}/weight"),
        *(graph.weights(tensor, (0,), f"{name}/bias") for tensor in bias),
    ]
    value = graph.add("Gemm", *inputs, name=name, transB=1)
    graph.done(operation, value, operation.options.fusedActivationFunction)


@operator("ADD", "SUB", "MUL")
def arithmetic(graph: TfliteWriter, operation: Operation) -> None:
    """Of images with images, or with a number for each channel."""
    if len(graph.shape(operation.output)) != 4:
        raise graph.unknown(operation.output, "by arithmetic on other than images")
    inputs = [graph.value(tensor) for tensor in operation.inputs]
    value = graph.add(operation.kind.title(), *inputs, name=operation.name)
    graph.done(operation, value, operation.options.fusedActivationFunction)


@operator("AVERAGE_POOL_2D", "MAX_POOL_2D")
def pool(graph: TfliteWriter, operation: Operation) -> None:
    """Padding does not count in an average."""
    (image,), options = operation.inputs, operation.options
    kernel = [options.filterHeight, options.filterWidth]
    value = graph.add(
        "AveragePool" if operation.kind == "AVERAGE_POOL_2D" else "MaxPool",
        graph.value(image),
        name=operation.name,
        kernel_shape=kernel,
        strides=[options.strideH, options.strideW],
        pads=_pads(graph.shape(image)[1:3], kernel, options),
    )
    graph.done(operation, value, options.fusedActivationFunction)


@operator("PAD")
def pad(graph: TfliteWriter, operation: Operation) -> None:
    """With zeros."""
    image, amounts = operation.inputs
    pads = graph.stored(amounts)
    if pads.shape != (4, 2):
        raise graph.unknown(operation.output, "as padding of other than images")
    around = pads[TO_FIRST].T.reshape(-1).astype(np.int64)
    written = graph.constant(f"{operation.name}/pads", around)
    graph.done(operation, graph.add("Pad", graph.value(image), written, name=operation.name))


@operator("MEAN")
def mean(graph: TfliteWriter, operation: Operation) -> None:
    """Over height and width alone."""
    image, axes = operation.inputs
    over = sorted(int(axis) % 4 for axis in graph.stored(axes).reshape(-1))
    if len(graph.shape(image)) != 4 or over != _HEIGHT_AND_WIDTH:
        raise graph.unknown(operation.output, "as a mean over other than height and width")
    value = graph.add(
        "ReduceMean",
        graph.value(image),
        name=operation.name,
        axes=[2, 3],
        keepdims=int(operation.options.keepDims),
    )
    graph.done(operation, value)


@operator("SOFTMAX")
def softmax(graph: TfliteWriter, operation: Operation) -> None:
    """Over the classes. The model's answer is left unrounded."""
    (given,) = operation.inputs
    if operation.options.beta != 1:
        raise graph.unknown(operation.output, "as a softmax of another temperature")
    value = graph.add("Softmax", graph.value(given), name=operation.name, axis=1)
    if operation.output == graph.answer:
        graph.values[operation.output] = value
    else:
        graph.done(operation, value)


@operator("RESHAPE", "SQUEEZE")
def reshape(graph: TfliteWriter, operation: Operation) -> None:
    """Of each image by itself. The shape is the output's, however the file computes it."""
    shape = graph.shape(operation.output)[1:]
    value = graph.flattened(operation.inputs[0], shape, operation.name)
    same = shape == graph.shape(operation.inputs[0])[1:]
    graph.values[operation.output] = (
        value if same else graph.channels_first(value, operation.output)
    )


@operator("RELU", "RELU_N1_TO_1", "RELU6")
def activation(graph: TfliteWriter, operation: Operation) -> None:
    """One that stands alone."""
    number = 1 + ("RELU", "RELU_N1_TO_1", "RELU6").index(operation.kind)
    graph.done(operation, graph.value(operation.inputs[0]), number)


@operator("QUANTIZE")
def quantize(graph: TfliteWriter, operation: Operation) -> None:
    """Onto the output's grid."""
    graph.done(operation, graph.value(operation.inputs[0]))


@operator("DEQUANTIZE")
def dequantize(graph: TfliteWriter, operation: Operation) -> None:
    """Values are real numbers already; a constant stays as the file lays it, for who reads it."""
    (given,) = operation.inputs
    graph.values[operation.output] = (
        graph.values[given]
        if given in graph.values
        else graph.constant(operation.name, graph.real(given))
    )


def _pads(
    size: Sequence[int], kernel: Sequence[int], options: Any, dilations: Sequence[int] = (1, 1)
) -> list[int]:
    """Return what is added at the top, left, bottom and right: more behind where it is odd."""
    if options.padding != _SAME:
        return [0, 0, 0, 0]
    before, after = [], []
    for side, width, stride, gap in zip(
        size, kernel, (options.strideH, options.strideW), dilations, strict=True
    ):
        total = max((-(-side // stride) - 1) * stride + (width - 1) * gap + 1 - side, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return [*before, *after]
