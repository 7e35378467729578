"""What several engines make of one graph: precision, predictions, and where they differ. No torch.

The first engine is the one that a graph is judged by; its fields have no prefix. Those of a further
one begin with its name.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.graphs.engines import CannotRun, Engine, open_engine

EIGHT_BITS = ("int8", "uint8")
NAMES = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "openvino_bf16": "OpenVINO in bfloat16",
    "litert": "LiteRT",
}


@dataclass(frozen=True)
class EngineResult:
    """What one engine did."""

    engine: str
    logits: NDArray[np.float32] | None
    """None: it cannot run the file."""
    executed: dict[str, str]
    """The precision of each layer with weights."""
    integer_path: str | None
    problem: str | None
    """Why it cannot run the file."""


def run_engine(
    engine: str, path: Path, threads: int, predict: Callable[[Engine], NDArray[np.float32]]
) -> EngineResult:
    """Load a graph and predict with it; what the engine cannot run is no error.

    Raises:
        UserError: if the engine is not installed.
    """
    try:
        opened = open_engine(path, threads, engine)
        logits = predict(opened)
    except CannotRun as error:
        return EngineResult(engine, None, {}, None, str(error))
    return EngineResult(engine, logits, opened.executed_precisions(), opened.integer_path, None)


def engine_metrics(
    results: Sequence[EngineResult], stored: Mapping[str, str], labels: NDArray[np.int64]
) -> dict[str, Any]:
    """Return the exact fields of the matrix, and `finding`: what a reader must know, or None.

    Args:
        results: of each engine, the first one first; that one ran.
        stored: how each layer's weights are stored.
        labels: of the images, shape (n,).
    """
    first = _predictions(results[0])
    assert first is not None
    eight = [name for name, kind in stored.items() if kind in EIGHT_BITS]
    metrics: dict[str, Any] = {
        "engines": [result.engine for result in results],
        "layers_with_weights": len(stored),
        "layers_stored_in_8_bits": len(eight),
    }
    findings = []
    agreed = np.ones(len(labels), dtype=bool)
    for index, result in enumerate(results):
        prefix = f"{result.engine}_" if index else ""
        counts = Counter(result.executed.values())
        predictions = _predictions(result)
        ran = predictions is not None
        for precision in ("int8", "float32", "bfloat16"):
            metrics[f"{prefix}layers_executed_{precision}"] = counts[precision] if ran else None
        if index:
            differ = None if predictions is None else predictions != first
            metrics[f"{prefix}top1_accuracy"] = (
                None if predictions is None else float((predictions == labels).mean())
            )
            metrics[f"{prefix}disagreement_share"] = (
                None if differ is None else float(differ.mean())
            )
            agreed &= ~differ if differ is not None else True
        finding = _finding(result, eight)
        if finding:
            findings.append(finding)
    if len(results) > 1:
        metrics["engines_disagreement_share"] = float((~agreed).mean())
    metrics["finding"] = " ".join(findings) or None
    return metrics


def _predictions(result: EngineResult) -> NDArray[np.int64] | None:
    """The class with the greatest logit, the first one of those that share it."""
    return None if result.logits is None else result.logits.argmax(axis=1)


def _finding(result: EngineResult, eight: Sequence[str]) -> str | None:
    engine = NAMES[result.engine]
    if result.problem:
        return f"{engine} cannot run it: {result.problem}."
    floats = [name for name in eight if result.executed.get(name) not in (*EIGHT_BITS, "unknown")]
    if not floats:
        return None
    precisions = " and ".join(sorted({result.executed.get(name, "float32") for name in floats}))
    return (
        f"Asked for 8 bits, ran in float: {engine} computed {len(floats)} of the {len(eight)} "
        f"layers that are stored in 8 bits in {precisions}."
    )
