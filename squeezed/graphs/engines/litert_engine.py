"""LiteRT, the engine of imported `.tflite` files. Loads no torch."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from squeezed.foundation.errors import UserError, first_line
from squeezed.graphs.engines.engine import CannotRun, Images, InBatches, Logits, not_installed
from squeezed.graphs.foreign.kept import keeps_file, kept
from squeezed.graphs.foreign.model import ForeignModel
from squeezed.graphs.foreign.tflite_core import TfliteCore
from squeezed.graphs.graph_file import read_graph
from squeezed.graphs.tflite.layers import LAYERS


class LiteRtEngine(InBatches):
    """One `.tflite` file in LiteRT, with XNNPACK's kernels; or the one that a graph keeps."""

    name = "litert"
    integer_path: str | None = None

    def __init__(self, path: str | Path, threads: int) -> None:
        """Load the file at `path` to run with `threads` threads.

        Raises:
            UserError: if LiteRT is not installed or cannot run the file.
        """
        if Path(path).suffix != ".tflite" and not keeps_file(path):
            raise UserError(
                f"engine litert runs imported .tflite files alone, not {path}: leave it out of "
                "evaluation.engines"
            )
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise not_installed("ai-edge-litert", "litert", error) from error
        self._kept: ForeignModel | None = None
        try:
            if Path(path).suffix == ".tflite":
                self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            else:
                self._kept = kept(read_graph(path), threads)
                assert self._kept is not None and isinstance(self._kept.core, TfliteCore)
                self._interpreter = self._kept.core.interpreter
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise CannotRun(f"{path} cannot be run by LiteRT ({first_line(error)})") from error
        (self._input,) = self._interpreter.get_input_details()
        self._output = self._interpreter.get_output_details()[0]
        if "int8" in self.executed_precisions().values():
            self.integer_path = "u8s8"

    def predict(self, images: Images) -> Logits:
        """Return the logits, shape (n, classes), of images (n, C, H, W) in [0, 1].

        Integer inputs and outputs are scaled as the file says. A file that a graph keeps sees and
        gives what the graph does.
        """
        if self._kept is not None:
            return self._kept.logits(images)
        batch = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        if tuple(self._input["shape"]) != batch.shape:
            self._interpreter.resize_tensor_input(self._input["index"], batch.shape)
            self._interpreter.allocate_tensors()
            (self._input,) = self._interpreter.get_input_details()
        self._interpreter.set_tensor(self._input["index"], _quantized(batch, self._input))
        self._interpreter.invoke()
        return _dequantized(self._interpreter.get_tensor(self._output["index"]), self._output)

    def executed_precisions(self) -> dict[str, str]:
        """Return, by the name of each layer's output, what its weights and input are stored in.

        LiteRT computes a layer in integers exactly where both are.
        """
        kinds = {
            d["index"]: np.dtype(d["dtype"]).name for d in self._interpreter.get_tensor_details()
        }
        names = {d["index"]: d["name"] for d in self._interpreter.get_tensor_details()}
        found = {}
        for operation in self._interpreter._get_ops_details():
            if operation["op_name"] in LAYERS:
                values, weights = (kinds[index] for index in operation["inputs"][:2])
                integer = values in ("int8", "uint8") and weights in ("int8", "uint8")
                found[names[operation["outputs"][0]]] = "int8" if integer else "float32"
        return found


def _quantized(values: Images, details: dict[str, Any]) -> np.ndarray:
    kind = np.dtype(details["dtype"])
    if kind == np.float32:
        return values
    scale, zero_point = details["quantization"]
    limits = np.iinfo(kind)
    return (np.rint(values / scale) + zero_point).clip(limits.min, limits.max).astype(kind)


def _dequantized(values: np.ndarray, details: dict[str, Any]) -> Logits:
    scale, zero_point = details["quantization"]
    if values.dtype == np.float32 or math.isclose(scale, 0):
        return np.array(values, dtype=np.float32)
    return ((values.astype(np.float32) - zero_point) * scale).astype(np.float32)
