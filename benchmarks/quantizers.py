"""The two quantizers that benchmarks compare: this project's step, and ONNX Runtime's own tool."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from squeezed.steps.quantize import QuantizeSettings, quantize
from squeezed.steps.step import Workshop

SETTINGS: dict[str, Any] = {
    "scheme": "static",
    "granularity": "channel",
    "calibration": "minmax",
    "calibration_images": 10**6,
    "layers": "all",
    "weight_range": "centred",
}


class _Images:
    """Training images, as a data set has them."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._images = images
        self.labels = np.zeros(len(images), np.int64)

    def __len__(self) -> int:
        return len(self._images)

    def images(self, indices: Any = None) -> NDArray[np.float32]:
        return self._images if indices is None else self._images[indices]

    def batches(self, batch_size: int, indices: Any = None) -> Any:
        indices = np.arange(len(self)) if indices is None else indices
        for start in range(0, len(indices), batch_size):
            part = indices[start : start + batch_size]
            yield self._images[part], self.labels[part]


class _Data:
    def __init__(self, images: NDArray[np.float32]) -> None:
        self.train = _Images(images)


class _Reader(CalibrationDataReader):
    def __init__(self, images: NDArray[np.float32], size: int = 10) -> None:
        self._batches = iter([images[i : i + size] for i in range(0, len(images), size)])

    def get_next(self) -> Any:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def quantized_by_us(
    graph: onnx.ModelProto, images: NDArray[np.float32], **changes: Any
) -> onnx.ModelProto:
    """Return `graph` in 8 bits, as the step `quantize` makes it."""
    settings = QuantizeSettings(**{**SETTINGS, **changes})
    # Of a data set the step reads the training images alone.
    workshop = Workshop(_Data(images), 0, "cpu", 1, None)
    return quantize(graph, settings, workshop).graph


def quantized_directly(
    graph: Path, output: Path, images: NDArray[np.float32], *, per_channel: bool = True
) -> None:
    """Let ONNX Runtime's quantizer write `graph` in 8 bits, a scale for each channel or layer."""
    logging.getLogger().addFilter(lambda record: "pre-process" not in record.getMessage())
    quantize_static(
        graph,
        output,
        _Reader(images),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
