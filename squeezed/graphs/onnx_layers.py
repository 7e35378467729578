"""The ONNX form of each kind of layer.

Each function here appends what a layer needs to `writer` and returns the name of its result. `name`
is the layer's name in the network, `source` the name of its input and `shape` that input's shape
for one image.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnx import TensorProto
from torch import nn

from squeezed.graphs.graph_writer import GraphWriter, as_numpy, unknown
from squeezed.graphs.onnx_operations import adaptive_average_pool, flattened, pair
from squeezed.networks.quantized import (
    DynamicQuantizedLinear,
    QuantizedConv2d,
    QuantizedLinear,
    StaticQuantizedLayer,
)


def write_layer(
    writer: GraphWriter, module: nn.Module, source: str, name: str, shape: tuple[int, ...]
) -> str:
    """Append a layer and return the name of its result.

    Raises:
        UserError: if there is no ONNX form for it here.
    """
    for kind, write in LAYERS:
        if isinstance(module, kind):
            return write(writer, module, source, name, shape)
    raise unknown(type(module).__name__, name)


def _convolution_attributes(module: nn.Conv2d, name: str) -> dict[str, Any]:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise unknown(f"padding {module.padding!r} ({module.padding_mode})", name)
    return {
        "kernel_shape": list(pair(module.kernel_size)),
        "strides": list(pair(module.stride)),
        "pads": list(pair(module.padding)) * 2,
        "dilations": list(pair(module.dilation)),
        "group": module.groups,
    }


def _convolution(
    writer: GraphWriter, module: nn.Conv2d, source: str, name: str, shape: tuple[int, ...]
) -> str:
    if isinstance(module, QuantizedConv2d):
        inputs = _dequantized_inputs(writer, module, source, name)
    else:
        inputs = _float_inputs(writer, module, source, name)
    return writer.emit("Conv", inputs, name, **_convolution_attributes(module, name))


def _linear(
    writer: GraphWriter, module: nn.Linear, source: str, name: str, shape: tuple[int, ...]
) -> str:
    if len(shape) != 2:
        raise unknown(f"a fully connected layer on {len(shape)} dimensions", name)
    if isinstance(module, QuantizedLinear):
        inputs = _dequantized_inputs(writer, module, source, name)
    else:
        inputs = _float_inputs(writer, module, source, name)
    return writer.emit("Gemm", inputs, name, transB=1)


def _float_inputs(
    writer: GraphWriter, module: nn.Conv2d | nn.Linear, source: str, name: str
) -> list[str]:
    inputs = [source, writer.constant(f"{name}.weight", as_numpy(module.weight))]
    if module.bias is not None:
        inputs.append(writer.constant(f"{name}.bias", as_numpy(module.bias)))
    return inputs


def _dequantized_inputs(
    writer: GraphWriter, layer: StaticQuantizedLayer, source: str, name: str
) -> list[str]:
    scale = writer.constant(f"{name}.input_scale", as_numpy(layer.input_scale))
    zero = writer.constant(f"{name}.input_zero_point", as_numpy(layer.input_zero_point))
    integers = writer.emit("QuantizeLinear", [source, scale, zero], f"{name}.input_quantize")
    values = writer.emit("DequantizeLinear", [integers, scale, zero], f"{name}.input_dequantize")
    weight = writer.emit(
        "DequantizeLinear",
        [
            writer.constant(f"{name}.weight", as_numpy(layer.quantized_weight)),
            writer.constant(f"{name}.weight_scale", as_numpy(layer.weight_scale)),
            writer.constant(f"{name}.weight_zero_point", as_numpy(layer.weight_zero_point)),
        ],
        f"{name}.weight_dequantize",
    )
    bias = writer.emit(
        "DequantizeLinear",
        [
            writer.constant(f"{name}.bias", as_numpy(layer.quantized_bias)),
            writer.constant(f"{name}.bias_scale", as_numpy(layer.bias_scale)),
        ],
        f"{name}.bias_dequantize",
    )
    return [values, weight, bias]


def _dynamic_linear(
    writer: GraphWriter,
    module: DynamicQuantizedLinear,
    source: str,
    name: str,
    shape: tuple[int, ...],
) -> str:
    integers, scale, zero = (f"{name}.input/{part}" for part in ("values", "scale", "zero"))
    writer.append("DynamicQuantizeLinear", [source], [integers, scale, zero], f"{name}.quantize")
    # MatMulInteger has no transposition: the weights are stored as (in, out).
    weight = writer.constant(f"{name}.weight", as_numpy(module.quantized_weight).T)
    weight_zero = writer.constant(f"{name}.weight_zero_point", as_numpy(module.weight_zero_point))
    sums = writer.emit("MatMulInteger", [integers, weight, zero, weight_zero], name)
    sums = writer.emit("Cast", [sums], f"{name}.cast", to=TensorProto.FLOAT)
    weight_scale = writer.constant(f"{name}.weight_scale", as_numpy(module.weight_scale))
    scale = writer.emit("Mul", [scale, weight_scale], f"{name}.scale")
    values = writer.emit("Mul", [sums, scale], f"{name}.dequantize")
    if module.bias is None:
        return values
    bias = writer.constant(f"{name}.bias", as_numpy(module.bias))
    return writer.emit("Add", [values, bias], f"{name}.add_bias")


def _batch_norm(
    writer: GraphWriter, module: nn.BatchNorm2d, source: str, name: str, shape: tuple[int, ...]
) -> str:
    assert module.running_mean is not None and module.running_var is not None
    ones = torch.ones_like(module.running_mean)
    tensors = {
        "weight": ones if module.weight is None else module.weight,
        "bias": 0 * ones if module.bias is None else module.bias,
        "running_mean": module.running_mean,
        "running_var": module.running_var,
    }
    constants = [writer.constant(f"{name}.{key}", as_numpy(t)) for key, t in tensors.items()]
    return writer.emit("BatchNormalization", [source, *constants], name, epsilon=module.eps)


def _max_pool(
    writer: GraphWriter, module: nn.MaxPool2d, source: str, name: str, shape: tuple[int, ...]
) -> str:
    return writer.emit(
        "MaxPool",
        [source],
        name,
        kernel_shape=list(pair(module.kernel_size)),
        strides=list(pair(module.stride)),
        pads=list(pair(module.padding)) * 2,
        dilations=list(pair(module.dilation)),
        ceil_mode=int(module.ceil_mode),
    )


def _average_pool(
    writer: GraphWriter, module: nn.AvgPool2d, source: str, name: str, shape: tuple[int, ...]
) -> str:
    if module.divisor_override is not None or module.ceil_mode:
        raise unknown("an average pooling with ceil_mode or divisor_override", name)
    return writer.emit(
        "AveragePool",
        [source],
        name,
        kernel_shape=list(pair(module.kernel_size)),
        strides=list(pair(module.stride)),
        pads=list(pair(module.padding)) * 2,
        count_include_pad=int(module.count_include_pad),
    )


def _adaptive_module(
    writer: GraphWriter,
    module: nn.AdaptiveAvgPool2d,
    source: str,
    name: str,
    shape: tuple[int, ...],
) -> str:
    return adaptive_average_pool(writer, source, name, shape, pair(module.output_size))


def _flatten_module(
    writer: GraphWriter, module: nn.Flatten, source: str, name: str, shape: tuple[int, ...]
) -> str:
    if (module.start_dim, module.end_dim) not in ((1, -1), (1, len(shape) - 1)):
        raise unknown(f"flattening dimensions {module.start_dim} to {module.end_dim}", name)
    return flattened(writer, source, name)


def _nothing(
    writer: GraphWriter, module: nn.Module, source: str, name: str, shape: tuple[int, ...]
) -> str:
    return source


def _activation(kind: str, **attributes: Any) -> Callable[..., str]:
    def write(
        writer: GraphWriter, module: nn.Module, source: str, name: str, shape: tuple[int, ...]
    ) -> str:
        return writer.emit(kind, [source], name, **attributes)

    return write


def _relu6(
    writer: GraphWriter, module: nn.Module, source: str, name: str, shape: tuple[int, ...]
) -> str:
    return writer.emit("Clip", [source, writer.value(0.0, name), writer.value(6.0, name)], name)


def _silu(
    writer: GraphWriter, module: nn.Module, source: str, name: str, shape: tuple[int, ...]
) -> str:
    return writer.emit("Mul", [source, writer.emit("Sigmoid", [source], f"{name}.gate")], name)


LAYERS: list[tuple[Any, Callable[..., str]]] = [
    (DynamicQuantizedLinear, _dynamic_linear),
    (nn.Conv2d, _convolution),
    (nn.Linear, _linear),
    (nn.BatchNorm2d, _batch_norm),
    (nn.ReLU6, _relu6),
    (nn.ReLU, _activation("Relu")),
    (nn.SiLU, _silu),
    (nn.Sigmoid, _activation("Sigmoid")),
    (nn.Hardswish, _activation("HardSwish")),
    (nn.Hardsigmoid, _activation("HardSigmoid", alpha=1 / 6, beta=0.5)),
    (nn.MaxPool2d, _max_pool),
    (nn.AvgPool2d, _average_pool),
    (nn.AdaptiveAvgPool2d, _adaptive_module),
    (nn.Flatten, _flatten_module),
    ((nn.Identity, nn.Dropout, nn.Dropout2d), _nothing),
]
