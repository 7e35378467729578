"""OpenVINO, an optional engine. Loads no torch."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from squeezed.foundation.errors import UserError, first_line
from squeezed.graphs.engines.engine import CannotRun, Images, InBatches, Logits, not_installed
from squeezed.graphs.graph_file import read_graph
from squeezed.graphs.weighted_nodes import weighted_nodes

# How a kernel's name ends (`brgconv_avx512_amx_I8`). The `runtimePrecision` beside it is that of
# the stored weights where a fully connected layer unpacks them and computes in float.
_PRECISIONS = {"I8": "int8", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}
# What OpenVINO appends to a node's name when it takes it apart.
_OWN_PARTS = re.compile(r"(/WithoutBiases|/DequantizationMultiply)+$")
_KERNELS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")


class OpenVinoEngine(InBatches):
    """One graph in OpenVINO, on the processor."""

    integer_path: str | None = None

    def __init__(self, path: str | Path, threads: int, precision: str | None = None) -> None:
        """Load the graph at `path` to run with `threads` threads.

        Args:
            path: the `.onnx` file.
            threads: that it may use.
            precision: `bf16`: what the file holds in float32 may be computed in bfloat16; None: it
                is computed in float32, also where the processor has faster bfloat16.

        Raises:
            UserError: if OpenVINO is not installed, cannot run the file, or the processor has no
                bfloat16.
        """
        try:
            import openvino
        except ImportError as error:
            raise not_installed("openvino", "openvino", error) from error
        self.name = "openvino" if precision is None else f"openvino_{precision}"
        self._path = Path(path)
        read_graph(path)  # OpenVINO's own error for what is no ONNX names its source files
        core = openvino.Core()
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in capabilities:
            raise UserError(
                "engine openvino_bf16 needs a processor that computes in bfloat16: this one does "
                "not; leave it out of evaluation.engines"
            )
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision or "f32",
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._compiled = core.compile_model(str(path), "CPU", settings)
            self._request = self._compiled.create_infer_request()
        except RuntimeError as error:
            raise CannotRun(f"{path} cannot be run by OpenVINO ({first_line(error)})") from error
        if "int8" in self.executed_precisions().values():
            self.integer_path = "u8s8"

    def predict(self, images: Images) -> Logits:
        """Return the logits, shape (n, classes), of images (n, C, H, W) in [0, 1]."""
        results = self._request.infer([np.ascontiguousarray(images)])
        return np.array(results[0], dtype=np.float32)

    def executed_precisions(self) -> dict[str, str]:
        """Return what the compiled graph computes each layer in."""
        by_layer = {}
        for operation in self._compiled.get_runtime_model().get_ordered_ops():
            facts = operation.get_rt_info()
            if _text(facts["layerType"]) in _KERNELS:
                precision = _text(facts["primitiveType"]).rpartition("_")[2]
                for name in _text(facts["originalLayersNames"]).split(","):
                    by_layer[_OWN_PARTS.sub("", name)] = _PRECISIONS.get(precision, "unknown")
        found = {}
        for layer in weighted_nodes(read_graph(self._path)):
            names = (layer.name, layer.node.output[0])
            known = [by_layer[name] for name in names if name in by_layer]
            found[layer.name] = known[0] if known else "unknown"
        return found


def _text(value: Any) -> str:
    return str(value.value if hasattr(value, "value") else value)
