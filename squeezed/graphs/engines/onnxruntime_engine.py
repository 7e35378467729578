"""ONNX Runtime, the default engine. Loads no torch."""

import re
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from squeezed.foundation.errors import first_line
from squeezed.foundation.exhaustion import exhausted
from squeezed.graphs.engines.engine import CannotRun, Images, InBatches, Logits
from squeezed.graphs.engines.integer_products import int8_products_are_exact, shift_to_uint8
from squeezed.graphs.graph_file import read_graph
from squeezed.graphs.weighted_nodes import weighted_nodes

# What ONNX Runtime calls its kernels that multiply integers.
_INTEGER_KERNELS = frozenset(
    {
        "QLinearConv",
        "QLinearMatMul",
        "QGemm",
        "ConvInteger",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "QAttention",
    }
)


class OnnxRuntimeEngine(InBatches):
    """One graph in ONNX Runtime, as the file is, or with the exact path's weights."""

    name = "onnxruntime"

    def __init__(self, path: str | Path, threads: int) -> None:
        """Load the graph at `path` to run with `threads` threads.

        Raises:
            CannotRun: if it is no ONNX file that ONNX Runtime can run.
        """
        self._path = Path(path)
        self._threads = threads
        self._source: str | bytes = str(path)
        self.integer_path: str | None = None
        kinds = _integer_kinds(self._path)
        if kinds == {"uint8"}:
            self.integer_path = "u8u8"
        elif kinds:
            self.integer_path = "u8s8"
            if not int8_products_are_exact():
                model = read_graph(path)
                shift_to_uint8(model)
                self._source = model.SerializeToString()
                self.integer_path = "u8u8, exact"
        self._session = self._open()
        self._input = self._session.get_inputs()[0].name

    def predict(self, images: Images) -> Logits:
        """Return the logits, shape (n, classes), of images (n, C, H, W) in [0, 1]."""
        (logits,) = self._session.run(None, {self._input: images})
        return np.asarray(logits)

    def executed_precisions(self) -> dict[str, str]:
        """Return what the optimised graph computes each layer in."""
        with tempfile.TemporaryDirectory() as folder:
            optimised = Path(folder) / "optimised.onnx"
            self._open(optimised)
            # What lies beside the file is not copied with it, and its values are not asked for.
            kernels = onnx.load(optimised, load_external_data=False).graph
        integers: set[str] = set()
        for node in kernels.node:
            if node.op_type in _INTEGER_KERNELS:
                integers |= {*node.input, *node.output, _without_counter(node.name)}
        halves = {
            tensor.name
            for tensor in kernels.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT16
        }
        half_read = {
            name for node in kernels.node if node.op_type != "Cast" for name in node.input
        } & halves
        found = {}
        for layer in weighted_nodes(read_graph(self._path)):
            weight = layer.weight.name
            if {layer.name, weight, layer.node.output[0]} & integers:
                found[layer.name] = "int8"
            else:
                found[layer.name] = "float16" if weight in half_read else "float32"
        return found

    def _open(self, optimised: Path | None = None) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors: warnings name nodes that were optimised away
        if optimised is not None:
            options.optimized_model_filepath = str(optimised)
        try:
            return onnxruntime.InferenceSession(
                self._source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own exceptions share no other base
            if exhausted(error):
                raise
            raise CannotRun(
                f"{self._path} cannot be run by ONNX Runtime ({first_line(error)})"
            ) from error


def _integer_kinds(path: Path) -> set[str]:
    """Return how the layers in 8 bits store their weights."""
    kinds = {layer.weight.kind for layer in weighted_nodes(read_graph(path))}
    return kinds & {"int8", "uint8"}


def _without_counter(name: str) -> str:
    """Return a kernel's name as its node's was before the layout was changed."""
    return re.sub(r"(_token_\d+|_nchwc|_quant)+$", "", name).removesuffix("_MatMul")
