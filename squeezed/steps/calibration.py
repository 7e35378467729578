"""The range of each value inside a graph, over training images and in bounded memory."""

import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator
from onnxruntime.quantization.calibrate import TensorsData

from squeezed.data.dataset import Split
from squeezed.foundation.progress import track

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}

BATCH_PIXELS = 2**17
"""Of one batch: 128 images of 32×32, 2 of 224×224. Bounds the memory of the activations."""


class _OneBatch(CalibrationDataReader):
    """What a calibrator is given at once: it keeps all activations of that much in memory."""

    def __init__(self, name: str, images: NDArray[np.float32]) -> None:
        self._batches = iter([{name: images}])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


def calibrate(
    model: onnx.ModelProto,
    batches: Iterable[NDArray[np.float32]],
    *,
    method: str,
    operators: Sequence[str],
    threads: int,
) -> TensorsData:
    """Return the range of each value that `operators` read and write.

    The same images, batches and threads give the same ranges.

    Args:
        model: in float32.
        batches: images in [0, 1], shape (n, C, H, W); training images only.
        method: `minmax`, `percentile` or `entropy`.
        operators: kinds of nodes.
        threads: of ONNX Runtime.
    """
    name = model.graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        augmented = str(Path(folder) / "augmented.onnx")
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            list(operators),
            augmented_model_path=augmented,
            calibrate_method=METHODS[method],
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        calibrator.infer_session = onnxruntime.InferenceSession(
            augmented, options, providers=["CPUExecutionProvider"]
        )
        # The calibrators print what they do.
        with contextlib.redirect_stdout(io.StringIO()):
            for images in batches:
                calibrator.collect_data(_OneBatch(name, images))
            return calibrator.compute_data()


def calibration_batches(split: Split, indices: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """Yield the images at `indices` in batches that take about as much memory at any size."""
    height, width = split.images(indices[:1]).shape[2:]
    size = max(1, BATCH_PIXELS // (height * width))
    batches = split.batches(size, indices)
    for images, _ in track(batches, "calibrate", total=-(-len(indices) // size)):
        yield images
