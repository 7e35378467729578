"""From a graph to the same graph in 8 bits, by ONNX Runtime's own quantizer.

Weights are int8, symmetric around zero (zero point 0, so that pruned ones stay exactly zero), with
one scale for each output channel or for the layer; activations are uint8. QuantizeLinear and
DequantizeLinear stand around each operator that engines have integer kernels for, residual
additions and concatenations among them, so that ONNX Runtime, OpenVINO and TensorRT fuse them.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from squeezed.data.dataset import choose_indices
from squeezed.foundation.errors import UserError
from squeezed.steps.calibration import METHODS, calibrate, calibration_batches
from squeezed.steps.image_channels import pad_image_channels
from squeezed.steps.step import MadeGraph, Workshop
from squeezed.steps.weight_ranges import quantize_weight, scale_and_zero_point

LINEAR = ("Gemm", "MatMul")
CONVOLUTIONS = ("Conv", "ConvTranspose")


@dataclass(frozen=True)
class QuantizeSettings:
    """How a graph is brought to 8 bits."""

    scheme: str
    """`static`: the inputs' ranges are calibrated; `dynamic`: taken from each batch."""
    granularity: str
    """`channel`: a scale for each output channel of a layer's weights; `tensor`: one for all."""
    calibration: str
    """How a range follows from the values seen: `minmax`, `percentile` or `entropy`."""
    calibration_images: int
    """Training images to calibrate on (static)."""
    layers: str | list[str]
    """`all`, `linear` (the fully connected ones), or names of layers."""
    weight_range: str
    """`centred`, or `extremes`: Algorithm 1 of the paper to the letter."""


def quantize(parent: onnx.ModelProto, settings: QuantizeSettings, workshop: Workshop) -> MadeGraph:
    """Quantize the layers that the settings name.

    Args:
        parent: in float32; it is left as it is.
        settings: how.
        workshop: its data set's training images are calibrated on; the same ones for each seed.

    Raises:
        UserError: if a layer that is named is not there, or a layer's weights or inputs cannot be
            quantized (named in the sentence).
    """
    if settings.weight_range == "extremes" and settings.granularity == "channel":
        raise UserError(
            "weight_range extremes is Algorithm 1 of the paper, which has one scale for each "
            "layer: set granularity to tensor"
        )
    layers = layers_with_weights(parent)
    chosen = _chosen(layers, settings.layers)
    constants = {c.name: c for c in parent.graph.initializer}
    for name in chosen:
        _check_weights(name, numpy_helper.to_array(constants[layers[name].input[1]]), settings)
    images = 0
    if settings.scheme == "static":
        train = workshop.dataset.train
        indices = choose_indices(len(train), settings.calibration_images, workshop.seed)
        images = len(indices)
        ranges = calibrate(
            parent,
            calibration_batches(train, indices),
            method=settings.calibration,
            operators=_operators(settings),
            threads=workshop.threads,
        )
        for name in chosen:
            _check_range(name, ranges, layers[name].input[0])
        graph = _static(parent, settings, chosen, ranges)
        pad_image_channels(graph)
    else:
        graph = _dynamic(parent, settings, chosen)
    metrics = {
        "scheme": settings.scheme,
        "granularity": settings.granularity,
        "weight_range": settings.weight_range,
        "calibration_images": images,
        "layers_with_weights": len(layers),
        "quantized_layers": len(chosen),
    }
    return MadeGraph(graph, metrics)


def layers_with_weights(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return the convolutions and fully connected layers of a graph in float32, by name."""
    constants = {constant.name for constant in model.graph.initializer}
    return {
        node.name: node
        for node in model.graph.node
        if node.op_type in (*CONVOLUTIONS, *LINEAR)
        and node.input[1] in constants
        and node.input[0] not in constants
        and "averages" not in node.input[1].rpartition(".")[2]
    }


def _chosen(layers: Mapping[str, onnx.NodeProto], wanted: str | list[str]) -> list[str]:
    """Return the names of the layers to quantize, in order."""
    if isinstance(wanted, str):
        chosen = [n for n, node in layers.items() if wanted == "all" or node.op_type in LINEAR]
        if not chosen:
            kind = "layer with weights" if wanted == "all" else "fully connected layer"
            raise UserError(f"the graph has no {kind} to quantize")
        return chosen
    unknown = [name for name in wanted if name not in layers]
    if unknown:
        raise UserError(
            f"there is no layer {unknown[0]!r} to quantize; the layers are {', '.join(layers)}"
        )
    return [name for name in layers if name in wanted]


def _check_weights(name: str, weight: NDArray[np.float32], settings: QuantizeSettings) -> None:
    problem = None
    if not np.isfinite(weight).all():
        problem = "they are NaN or infinite"
    elif not weight.any():
        problem = "they are all zero"
    elif settings.weight_range == "extremes" and weight.min() == weight.max():
        problem = f"they are all {weight.flat[0]}, which spans no range"
    if problem:
        raise UserError(f"the weights of layer {name} cannot be quantized: {problem}")


def _check_range(name: str, ranges: TensorsData, value: str) -> None:
    low, high = (float(np.asarray(end).reshape(-1)[0]) for end in ranges[value].range_value)
    try:
        scale_and_zero_point(low, high)
    except UserError as error:
        raise UserError(f"the input of layer {name}: {error}") from error


def _operators(settings: QuantizeSettings) -> list[str]:
    """Return the kinds of nodes that are quantized."""
    if settings.layers == "all":
        return sorted({*QLinearOpsRegistry, *QDQRegistry})
    return [*CONVOLUTIONS, *LINEAR]


def _static(
    parent: onnx.ModelProto, settings: QuantizeSettings, chosen: list[str], ranges: TensorsData
) -> onnx.ModelProto:
    layers = layers_with_weights(parent)
    others = [
        node.name
        for node in parent.graph.node
        if node.op_type in (*CONVOLUTIONS, "Gemm") and node.name not in chosen
    ]
    averages = [
        node.name
        for node in parent.graph.node
        if node.op_type == "MatMul" and any("averages" in name for name in node.input)
    ]
    overrides = {}
    if settings.weight_range == "extremes":
        constants = {c.name: c for c in parent.graph.initializer}
        for name in chosen:
            weight = layers[name].input[1]
            _, scale, zero_point = quantize_weight(numpy_helper.to_array(constants[weight]))
            overrides[weight] = [
                {
                    "quant_type": QuantType.QUInt8,
                    "scale": np.array(scale),
                    "zero_point": np.array(zero_point),
                }
            ]
    with _scratch() as folder:
        onnx.save(parent, folder / "parent.onnx")  # a model in memory would be altered
        save_tensors_data(ranges, folder / "ranges.json")
        quantize_static(
            folder / "parent.onnx",
            folder / "quantized.onnx",
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_operators(settings),
            nodes_to_quantize=[] if settings.layers == "all" else chosen,
            nodes_to_exclude=[*others, *averages],
            per_channel=settings.granularity == "channel",
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[settings.calibration],
            calibration_cache_path=folder / "ranges.json",
            extra_options={"TensorQuantOverrides": overrides},
        )
        return onnx.load(folder / "quantized.onnx")


def _dynamic(
    parent: onnx.ModelProto, settings: QuantizeSettings, chosen: list[str]
) -> onnx.ModelProto:
    with _scratch() as folder:
        onnx.save(parent, folder / "parent.onnx")
        quantize_dynamic(
            folder / "parent.onnx",
            folder / "quantized.onnx",
            # The quantizer writes a Gemm as MatMul and Add first.
            nodes_to_quantize=[*chosen, *(f"{name}_MatMul" for name in chosen)],
            per_channel=settings.granularity == "channel",
            weight_type=(
                QuantType.QUInt8 if settings.weight_range == "extremes" else QuantType.QInt8
            ),
            op_types_to_quantize=["Conv", *LINEAR],
        )
        graph = onnx.load(folder / "quantized.onnx")
    for node in graph.graph.node:
        if node.op_type in ("MatMulInteger", "ConvInteger"):
            node.name = node.name.removesuffix("_quant").removesuffix("_MatMul")
    if settings.weight_range == "extremes":
        _stretch_to_extremes(graph, parent)
    return graph


def _stretch_to_extremes(graph: onnx.ModelProto, parent: onnx.ModelProto) -> None:
    """Write the integers, scales and zero points of Algorithm 1 in place of the quantizer's."""
    layers = layers_with_weights(parent)
    floats = {c.name: c for c in parent.graph.initializer}
    constants = {c.name: c for c in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type not in ("MatMulInteger", "ConvInteger"):
            continue
        stored = node.input[1]
        weight = numpy_helper.to_array(floats[layers[node.name].input[1]])
        if list(constants[stored].dims) != list(weight.shape):  # a Gemm's, transposed
            weight = weight.T
        prefix = stored.removesuffix("_quantized")
        names = (stored, f"{prefix}_scale", f"{prefix}_zero_point")
        for name, values in zip(names, quantize_weight(weight), strict=True):
            constants[name].CopyFrom(numpy_helper.from_array(np.asarray(values), name))


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a folder for what the quantizer writes; keep its advice on foreign graphs to itself."""
    logger = logging.getLogger()

    def is_no_advice(record: logging.LogRecord) -> bool:
        return "pre-process" not in record.getMessage()

    logger.addFilter(is_no_advice)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        logger.removeFilter(is_no_advice)
