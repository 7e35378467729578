"""Small TFLite files, written with the schema that LiteRT brings, so that no converter is needed.

Every operator that a twin can be made of is in one of them; LiteRT says what they compute.
"""

import flatbuffers
import numpy as np

FLOAT, HALF, INT32, UINT8, INT8 = 0, 1, 2, 3, 9
_NUMPY = {FLOAT: np.float32, HALF: np.float16, INT32: np.int32, UINT8: np.uint8, INT8: np.int8}
SAME, VALID = 0, 1
_VERSIONS = {3: 3, 4: 3, 6: 3, 9: 4, 22: 1, 111: 1}
"""Of the operators' kernels, by number: convolutions, DEQUANTIZE, FULLY_CONNECTED, RESHAPE, ELU."""


class TfliteModel:
    """A file under construction: tensors by name, operators in order."""

    def __init__(self, seed=0):
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.random = schema, np.random.default_rng(seed)
        self.buffers, self.tensors, self.operators, self.codes = [b""], [], [], []

    def tensor(self, name, shape, kind=FLOAT, grid=None, values=None):
        """Add one, with `grid` (scales, zero points, axis) where it is quantized."""
        made = self.schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), list(shape), kind, 0
        if grid is not None:
            scales, zeros, axis = grid
            made.quantization = self.schema.QuantizationParametersT()
            made.quantization.scale = [float(each) for each in np.atleast_1d(scales)]
            made.quantization.zeroPoint = [int(each) for each in np.atleast_1d(zeros)]
            made.quantization.quantizedDimension = axis
        if values is not None:
            made.buffer = len(self.buffers)
            self.buffers.append(np.asarray(values, _NUMPY[kind]).tobytes())
        self.tensors.append(made)
        return len(self.tensors) - 1

    def weights(self, name, shape, kind, axis, per_channel=True, size=1.0):
        """Add random weights; in 8 bits with a scale for each channel, or one and a zero point."""
        if kind == FLOAT:
            return self.tensor(name, shape, values=self.random.normal(0, 0.4 * size, shape))
        stored = self.random.integers(-127, 128, shape)
        if kind == UINT8:
            return self.tensor(name, shape, UINT8, (0.004 * size, 120, 0), stored + 128)
        count = shape[axis] if per_channel else 1
        scales = self.random.uniform(0.002, 0.006, count) * size
        return self.tensor(name, shape, INT8, (scales, np.zeros(count), axis), stored)

    def bias(self, name, size, given, weight):
        """Add a random bias, in the products' own scale where these are integers."""
        if self.tensors[weight].quantization is None:
            return self.tensor(name, [size], values=self.random.normal(0, 0.3, size))
        scales = np.multiply(
            self.tensors[weight].quantization.scale, self.tensors[given].quantization.scale[0]
        )
        values = np.rint(self.random.normal(0, 0.3, size) / scales)
        return self.tensor(name, [size], INT32, (scales, np.zeros(len(scales)), 0), values)

    def add(self, kind, inputs, output, options=None, **fields):
        """Add an operator, with the schema's `options` and their fields."""
        code = getattr(self.schema.BuiltinOperator, kind)
        if code not in self.codes:
            self.codes.append(code)
        made = self.schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self.codes.index(code), inputs, [output]
        if options is not None:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")()
            for name, value in fields.items():
                assert hasattr(made.builtinOptions, name), name
                setattr(made.builtinOptions, name, value)
        self.operators.append(made)
        return output

    def content(self, image, answer):
        """Return the file's bytes."""
        schema, model = self.schema, self.schema.ModelT()
        model.version, model.operatorCodes, model.buffers = 3, [], []
        for code in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode = code, min(code, 127)
            entry.version = _VERSIONS.get(code, 2)
            model.operatorCodes.append(entry)
        for content in self.buffers:
            entry = schema.BufferT()
            entry.data = list(content) or None
            model.buffers.append(entry)
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [image], [answer]
        model.subgraphs = [graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def classifier(kind=FLOAT, size=(13, 10), classes=5, last="MEAN", extra=None, half=False, seed=0):
    """Return convolution, depthwise convolution, padding, addition, pools and a softmax.

    Args:
        kind: FLOAT, INT8 or UINT8 of all values.
        size: height and width.
        classes: of the answer.
        last: how the maps become a row: `MEAN`, `POOL` and a reshape, or `FLAT`.
        extra: an operator that no twin can be made of, put in front of the softmax.
        half: whether the first convolution's weights are stored in half precision.
        seed: of the weights.
    """
    model = TfliteModel(seed)
    height, width = size

    def grid(low, high):
        if kind == FLOAT:
            return None
        scale = (high - low) / 255
        zero = round(-low / scale) + (-128 if kind == INT8 else 0)
        return scale, zero, 0

    def value(name, shape, low=-3.0, high=3.0):
        return model.tensor(name, [1, *shape], kind, grid(low, high))

    pixel = None if kind == FLOAT else (1 / 255, -128 if kind == INT8 else 0, 0)
    image = model.tensor("image", [1, height, width, 3], kind, pixel)
    convolution = {"strideH": 2, "strideW": 2, "dilationHFactor": 1, "dilationWFactor": 1}

    if half:
        stored = model.tensor(
            "half", [8, 3, 3, 3], HALF, values=model.random.normal(0, 0.4, (8, 3, 3, 3))
        )
        weight = model.add("DEQUANTIZE", [stored], model.tensor("whole", [8, 3, 3, 3]))
    else:
        weight = model.weights("first/weight", [8, 3, 3, 3], kind, 0)
    h, w = -(-height // 2), -(-width // 2)
    first = model.add(
        "CONV_2D", [image, weight, model.bias("first/bias", 8, image, weight)],
        value("first", (h, w, 8), 0, 6), "Conv2DOptions", padding=SAME, fusedActivationFunction=3,
        **convolution,
    )  # fmt: skip
    weight = model.weights("deep/weight", [1, 3, 3, 8], kind, 3)
    deep = model.add(
        "DEPTHWISE_CONV_2D", [first, weight, model.bias("deep/bias", 8, first, weight)],
        value("deep", (h, w, 8)), "DepthwiseConv2DOptions", padding=SAME, depthMultiplier=1,
        **convolution | {"strideH": 1, "strideW": 1},
    )  # fmt: skip
    added = model.add("ADD", [first, deep], value("sum", (h, w, 8), 0, 8), "AddOptions",
                      fusedActivationFunction=1)  # fmt: skip
    amounts = model.tensor("amounts", [4, 2], INT32, values=[[0, 0], [0, 1], [1, 0], [0, 0]])
    padded = model.add("PAD", [added, amounts], value("padded", (h + 1, w + 1, 8), 0, 8),
                       "PadOptions")  # fmt: skip
    h, w = -(-(h + 1) // 2), -(-(w + 1) // 2)
    pooled = model.add("MAX_POOL_2D", [padded], value("pooled", (h, w, 8), 0, 8), "Pool2DOptions",
                       padding=SAME, strideH=2, strideW=2, filterHeight=2,
                       filterWidth=3)  # fmt: skip
    if last == "MEAN":
        axes = model.tensor("axes", [2], INT32, values=[1, 2])
        row = model.add("MEAN", [pooled, axes], value("row", (8,), 0, 8), "ReducerOptions",
                        keepDims=False)  # fmt: skip
        count = 8
    elif last == "POOL":
        mean = model.add("AVERAGE_POOL_2D", [pooled], value("mean", (1, 1, 8), 0, 8),
                         "Pool2DOptions", padding=VALID, strideH=1, strideW=1, filterHeight=h,
                         filterWidth=w)  # fmt: skip
        shape = model.tensor("shape", [2], INT32, values=[-1, 8])
        row = model.add("RESHAPE", [mean, shape], value("row", (8,), 0, 8), "ReshapeOptions",
                        newShape=[-1, 8])  # fmt: skip
        count = 8
    else:
        count = h * w * 8
        shape = model.tensor("shape", [2], INT32, values=[-1, count])
        row = model.add("RESHAPE", [pooled, shape], value("row", (count,), 0, 8),
                        "ReshapeOptions", newShape=[-1, count])  # fmt: skip
    weight = model.weights(
        "linear/weight", [classes, count], kind, 0, per_channel=False, size=(8 / count) ** 0.5
    )
    logits = model.add(
        "FULLY_CONNECTED", [row, weight, model.bias("linear/bias", classes, row, weight)],
        value("logits", (classes,), -12, 12), "FullyConnectedOptions", keepNumDims=False,
    )  # fmt: skip
    if extra is not None:
        logits = model.add(extra, [logits], value("extra", (classes,), -12, 12))
    share = None if kind == FLOAT else (1 / 256, -128 if kind == INT8 else 0, 0)
    answer = model.tensor("answer", [1, classes], kind, share)
    return model.content(image, model.add("SOFTMAX", [logits], answer, "SoftmaxOptions", beta=1.0))
