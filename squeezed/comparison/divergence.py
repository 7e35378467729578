"""Where two networks part: the error of each layer's activations on the user's own images.

Both run on the same images from the start, so that errors add up from layer to layer as they do in
use. An error of 0.1 means that the difference is a tenth of what the layer gives, both as root of
the mean square over all activations and images.
"""

import re
import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray

from squeezed.graphs.foreign.core import OnnxCore, as_input, run_session
from squeezed.graphs.foreign.model import ForeignModel, in_channels
from squeezed.graphs.foreign.tflite_core import TfliteCore
from squeezed.graphs.tflite.layers import tflite_layers
from squeezed.graphs.weighted_nodes import weighted_nodes

Floats = NDArray[np.float32]

IMAGES = 32
BATCH = 4
COLUMNS = ["layer", "compressed_layer", "matched_by", "relative_error", "n"]
_SUFFIXES = re.compile(r"(_quantized|_quant|_QuantizeLinear|_DequantizeLinear|_Output|_nchwc)+$")


@dataclass(frozen=True)
class Tap:
    """A layer's output."""

    name: str
    """The layer's, without what quantizers append."""
    value: str
    """The output's, likewise."""
    clamped: bool
    """Whether what is below zero is cut off with it: a quantizer took the ReLU into itself."""


class Probe(Protocol):
    """A model that also gives the outputs of its layers."""

    taps: list[Tap]

    def activations(self, images: Floats) -> list[Floats]:
        """Return the output of each tap, channels first, for images (n, C, H, W) in [0, 1]."""
        ...


def divergence_table(
    original: ForeignModel, compressed: ForeignModel, images: Floats
) -> pd.DataFrame:
    """Return one row for each pair of layers, in the original's order.

    Columns: `layer`, `compressed_layer`, `matched_by` (`name`, or `order` where names differ),
    `relative_error` and `n`, the images. Empty where the layers cannot be paired.
    """
    first, second = probe_of(original), probe_of(compressed)
    pairs, how = paired(first.taps, second.taps)
    squares, errors = np.zeros(len(pairs)), np.zeros(len(pairs))
    fits = np.ones(len(pairs), dtype=bool)
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        ours, theirs = first.activations(part), second.activations(part)
        for k, (i, j) in enumerate(pairs):
            a, b = ours[i], theirs[j]
            if a.shape != b.shape:
                fits[k] = False
                continue
            if second.taps[j].clamped and not first.taps[i].clamped:
                a = np.maximum(a, 0)
            squares[k] += float(np.square(a, dtype=np.float64).sum())
            errors[k] += float(np.square(a - b, dtype=np.float64).sum())
    rows = [
        [
            first.taps[i].name,
            second.taps[j].name,
            how,
            float(np.sqrt(errors[k] / squares[k])) if squares[k] else float(errors[k] > 0),
            len(images),
        ]
        for k, (i, j) in enumerate(pairs)
        if fits[k]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def paired(first: list[Tap], second: list[Tap]) -> tuple[list[tuple[int, int]], str]:
    """Return which layers are the same, and what told it.

    By the name of the layer or of its output, if most of the smaller network's layers are found so;
    otherwise by order, if there are as many.
    """
    by_name = {tap.name: k for k, tap in enumerate(second)}
    by_value = {tap.value: k for k, tap in enumerate(second)}
    pairs = []
    for k, tap in enumerate(first):
        found = by_value.get(tap.value, by_name.get(tap.name))
        if found is not None:
            pairs.append((k, found))
    if 2 * len(pairs) >= min(len(first), len(second)) and pairs:
        return pairs, "name"
    if len(first) == len(second):
        return [(k, k) for k in range(len(first))], "order"
    return [], "order"


def probe_of(model: ForeignModel) -> Probe:
    """Return a model that gives its layers' outputs, too."""
    return TfliteProbe(model) if isinstance(model.core, TfliteCore) else OnnxProbe(model)


class OnnxProbe:
    """As `Probe`, for an ONNX file."""

    def __init__(self, model: ForeignModel) -> None:
        """Add the outputs of the layers to a copy of the graph."""
        assert isinstance(model.core, OnnxCore)
        self._model, self._core = model, model.core
        copy = onnx.ModelProto()
        copy.CopyFrom(model.core.model)
        constants = {tensor.name: tensor for tensor in copy.graph.initializer}
        there = {value.name for value in copy.graph.output}
        self.taps = []
        self._outputs: list[str] = []
        self._scales: list[tuple[NDArray[np.float32], NDArray[np.int64]] | None] = []
        for layer in weighted_nodes(copy):
            output = layer.node.output[0]
            scale = _scale_of(layer.node, constants)
            if layer.node.op_type in ("ConvInteger", "MatMulInteger"):
                real = _scaled(output, copy.graph)
                if real is None:
                    continue
                output = real
            lowest = scale is not None and bool(np.all(scale[1] <= scale[2]))
            self.taps.append(Tap(_plain(layer.name), _plain(output), lowest))
            self._outputs.append(output)
            self._scales.append(None if scale is None else (scale[0], scale[1]))
            if output not in there:
                copy.graph.output.append(onnx.ValueInfoProto(name=output))
        self._session = run_session(model.core.name, copy, 1)

    def activations(self, images: Floats) -> list[Floats]:
        """As `Probe.activations`."""
        if not self._outputs:
            return []
        signature = self._core.signature
        seen = self._model.preprocessing.apply(in_channels(images, signature.channels))
        step = self._core.fixed_batch or (1 if self._core.alone else len(seen))
        filled = np.concatenate([seen, np.repeat(seen[-1:], -len(seen) % step, axis=0)])
        parts = [
            self._session.run(
                self._outputs, {signature.input: as_input(signature, filled[k : k + step])}
            )
            for k in range(0, len(filled), step)
        ]
        found = []
        for values, scale in zip(
            map(np.concatenate, zip(*parts, strict=True)), self._scales, strict=True
        ):
            # A layer may have several rows for each image.
            numbers = values.astype(np.float32)[: len(values) * len(seen) // len(filled)]
            found.append(numbers if scale is None else (numbers - scale[1]) * scale[0])
        return found


class TfliteProbe:
    """As `Probe`, for a TFLite file."""

    def __init__(self, model: ForeignModel) -> None:
        """Open the file anew, keeping all values."""
        from ai_edge_litert.interpreter import Interpreter

        assert isinstance(model.core, TfliteCore)
        self._model, content = model, model.core.content
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that all values are kept is what is wanted here
            self._interpreter = Interpreter(
                model_content=content, experimental_preserve_all_tensors=True
            )
        self._interpreter.allocate_tensors()
        details = {each["index"]: each for each in self._interpreter.get_tensor_details()}
        self._details = [details[layer.output] for layer in tflite_layers(content)]
        self.taps = []
        for each in self._details:
            kind = np.dtype(each["dtype"])
            whole = kind.kind in "iu"
            lowest = whole and each["quantization"][1] == np.iinfo(kind).min
            name = _plain(str(each["name"]))
            self.taps.append(Tap(name, name, bool(lowest)))

    def activations(self, images: Floats) -> list[Floats]:
        """As `Probe.activations`."""
        signature = self._model.core.signature
        seen = self._model.preprocessing.apply(in_channels(images, signature.channels))
        index = self._interpreter.get_input_details()[0]["index"]
        found: list[list[Floats]] = [[] for _ in self._details]
        for k in range(len(seen)):
            self._interpreter.set_tensor(index, as_input(signature, seen[k : k + 1]))
            self._interpreter.invoke()
            for each, own in zip(self._details, found, strict=True):
                values = self._interpreter.get_tensor(each["index"]).astype(np.float32)
                scale, zero = each["quantization"]
                values = (values - zero) * scale if scale else values
                own.append(values.transpose(0, 3, 1, 2) if values.ndim == 4 else values)
        return [np.concatenate(own) for own in found]


def _plain(name: str) -> str:
    return _SUFFIXES.sub("", name)


def _scaled(sums: str, graph: onnx.GraphProto) -> str | None:
    """Return what becomes of sums of integers whose scale is known only while the graph runs.

    They are cast to floats, multiplied by the scale, and a bias may be added: what does not depend
    on the images. None: they are not.
    """
    varying = {value.name for value in graph.input} - {each.name for each in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        if varying.intersection(node.input):
            varying.update(node.output)
        for name in node.input:
            readers.setdefault(name, []).append(node)
    value = sums
    for operator in ("Cast", "Mul"):
        following = readers.get(value, [])
        if len(following) != 1 or following[0].op_type != operator:
            return None
        value = following[0].output[0]
    following = readers.get(value, [])
    if len(following) == 1 and following[0].op_type == "Add":
        others = set(following[0].input) - {value}
        value = following[0].output[0] if varying.isdisjoint(others) else value
    return str(value)


def _scale_of(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> tuple[NDArray[np.float32], NDArray[np.int64], int] | None:
    """Return scale, zero point and lowest integer of a layer's 8-bit output; None: it is float."""
    places = {"QLinearConv": (6, 7), "QLinearMatMul": (6, 7), "QGemm": (7, 8)}.get(node.op_type)
    if places is None or len(node.input) <= places[1]:
        return None
    names = [node.input[place] for place in places]
    if not all(name in constants for name in names):
        return None
    scale, zero = (onnx.numpy_helper.to_array(constants[name]) for name in names)
    return scale.astype(np.float32), zero.astype(np.int64), int(np.iinfo(zero.dtype).min)
