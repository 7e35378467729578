"""The runtimes that a graph is deployed with, behind one small interface. Loads no torch."""

from collections.abc import Sequence
from pathlib import Path

from squeezed.foundation.errors import UserError
from squeezed.graphs.engines.engine import CannotRun, Engine

__all__ = ["ENGINES", "CannotRun", "Engine", "engines_of", "open_engine"]

ENGINES = ("onnxruntime", "openvino", "openvino_bf16", "litert")
"""`openvino_bf16` is OpenVINO that may compute in bfloat16 what the file holds in float32."""


def engines_of(path: str | Path, engines: Sequence[str]) -> list[str]:
    """Return those of `engines` that are for such a file, the one that judges it first.

    A `.tflite` file has LiteRT alone. So is a graph judged that keeps one; the other engines run
    the nodes that were made of it, if there are any.
    """
    if Path(path).suffix == ".tflite":
        return ["litert"]
    others = [engine for engine in engines if engine != "litert"]
    if Path(path).is_file():
        from squeezed.graphs.foreign.kept import keeps_file, why_no_twin

        if keeps_file(path):
            return ["litert"] if why_no_twin(path) else ["litert", *others]
    return others or ["onnxruntime"]


def open_engine(
    path: str | Path, threads: int, engine: str = "onnxruntime", precision: str | None = None
) -> Engine:
    """Load a graph to run on the processor.

    Args:
        path: an `.onnx` file, or a `.tflite` file for `litert`.
        threads: that it may use.
        engine: one of `ENGINES`.
        precision: of OpenVINO alone: `bf16` lets it compute what is float32 in bfloat16.

    Raises:
        UserError: if there is no such engine, its package is not installed, or it cannot run the
            file.
    """
    if engine == "onnxruntime":
        from squeezed.graphs.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(path, threads)
    if engine in ("openvino", "openvino_bf16"):
        from squeezed.graphs.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(path, threads, "bf16" if engine == "openvino_bf16" else precision)
    if engine == "litert":
        from squeezed.graphs.engines.litert_engine import LiteRtEngine

        return LiteRtEngine(path, threads)
    raise UserError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
