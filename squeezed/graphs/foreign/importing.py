"""The step `import`: from a file of the user's to a graph as all others are.

The graph maps images (n, 3, H, W) in [0, 1] to logits in the order of the data set's classes; what
was put around the user's nodes is for the analyses. Size, hash and time are those of the user's
own file, whose facts stand in the result.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from squeezed.data.dataset import Dataset
from squeezed.foundation.errors import UserError
from squeezed.foundation.files import sha256_of, user_path
from squeezed.graphs.foreign.core import Core, OnnxCore, run_session
from squeezed.graphs.foreign.kept import graph_of
from squeezed.graphs.foreign.model import ForeignModel, open_foreign
from squeezed.graphs.foreign.onnx_file import model_files
from squeezed.graphs.foreign.original_stamp import original_stamp
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.foreign.signature import Layout
from squeezed.graphs.foreign.tflite_core import TfliteCore
from squeezed.graphs.graph_file import GraphCard
from squeezed.graphs.sizes import gzipped_bytes, size_bytes
from squeezed.steps.step import MadeGraph, Workshop

SAMPLE = 32
AGREED_ON = 200
"""Training images on which a TFLite file's twin is compared with LiteRT."""
TOLERANCE = 1e-3
"""By how much of the logits' spread the graph may differ from the file, at float rounding."""
SCHEMES = {
    "dynamic": ("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"),
    "static": ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm"),
}


@dataclass(frozen=True)
class ImportSettings:
    """The section `importing` of an experiment, and a recipe of the step `import`."""

    path: str | None
    outputs: str | None
    range: tuple[float, float]
    mean: list[float]
    std: list[float]
    channel_order: Literal["RGB", "BGR"]
    layout: Layout

    def preprocessing(self) -> Preprocessing:
        """Return what the model wants its images to be."""
        return Preprocessing(self.range, tuple(self.mean), tuple(self.std), self.channel_order)


@dataclass
class ImportedGraph(MadeGraph):
    """A graph made from a file, and what was found out of it."""

    card: GraphCard
    """The data set's classes and preprocessing; variant and recipe are the script's to add."""


def import_graph(parent: None, settings: ImportSettings, workshop: Workshop) -> ImportedGraph:
    """Make a graph from an ONNX or a TFLite file, for a data set.

    Args:
        parent: an import has none.
        settings: name the file, and what it wants.
        workshop: with the data set whose images it is to judge; some training images tell
            probabilities from logits.

    Raises:
        UserError: if the file is no classifier that fits the data set.
    """
    if settings.path is None:
        raise UserError("config.yaml: the step 'import' needs a path: the file to import")
    path, dataset = user_path(settings.path), workshop.dataset
    indices = np.unique(np.linspace(0, len(dataset.train) - 1, SAMPLE).astype(int))
    sample = dataset.train.images(indices)
    model = open_foreign(
        path,
        settings.preprocessing(),
        dataset.class_names,
        dataset.image_size,
        sample,
        labels=settings.outputs,
        layout=settings.layout,
        threads=workshop.threads,
    )
    graph, why_not = graph_of(model)
    metrics = _metrics(model, path)
    if why_not is None:
        _check_same(model, graph, sample, workshop.threads)
    if isinstance(model.core, TfliteCore):
        metrics |= {"why_no_twin": why_not}
        if why_not is None:
            metrics |= _agreement(model, graph, dataset, workshop.threads)
    return ImportedGraph(graph, metrics, card_of(model, path, dataset))


def card_of(model: ForeignModel, path: Path, dataset: Dataset) -> GraphCard:
    """Return what the graph's file will say of it."""
    mean, std = model.preprocessing.normalisation(model.core.signature.channels)
    return GraphCard(
        class_names=model.outputs.names,
        image_size=dataset.image_size,
        mean=[float(value) for value in mean],
        std=[float(value) for value in std],
        architecture=path.stem,
        variant="",
        seed=0,
        **dataset.preprocessing,
        scheme=_scheme(model.core),
    )


def _scheme(core: Core) -> str:
    if isinstance(core, TfliteCore):
        return "static" if core.computes_in_integers else "none"
    assert isinstance(core, OnnxCore)
    return scheme_of(core.model)


def _agreement(
    model: ForeignModel, graph: onnx.ModelProto, dataset: Dataset, threads: int
) -> dict[str, Any]:
    """Return for how many training images the twin's graph predicts another class than LiteRT."""
    few = min(AGREED_ON, len(dataset.train))
    images = dataset.train.images(np.linspace(0, len(dataset.train) - 1, few).astype(int))
    session = run_session(model.core.name, graph, threads)
    differ = 0
    for start in range(0, few, SAMPLE):
        part = np.ascontiguousarray(images[start : start + SAMPLE])
        found, expected = session.run(None, {"images": part})[0], model.logits(part)
        differ += int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    return {"n_twin_images": few, "twin_disagreement_share": differ / few}


def scheme_of(model: onnx.ModelProto) -> str:
    """Return how a graph's activations are quantized: none, static or dynamic."""
    operators = {node.op_type for node in model.graph.node}
    return next((name for name, some in SCHEMES.items() if operators & set(some)), "none")


def _check_same(
    model: ForeignModel, graph: onnx.ModelProto, sample: np.ndarray, threads: int
) -> None:
    """Refuse a graph that does not compute what the file does: our mistake, not the user's."""
    session = run_session(model.core.name, graph, threads)
    alone = isinstance(model.core, OnnxCore) and model.core.alone
    step = 1 if alone else len(sample)
    parts = [
        session.run(None, {"images": np.ascontiguousarray(sample[k : k + step])})[0]
        for k in range(0, len(sample), step)
    ]
    found, expected = np.concatenate(parts), model.logits(sample)
    if not model.answers.probabilities:
        difference = np.abs(found - expected).max()
        spread = float(expected.std()) or 1.0
    else:  # logits in front of a softmax differ from logarithms by a constant in each row
        found, expected = _softmax(found), _softmax(expected)
        difference, spread = np.abs(found - expected).max(), 1.0
    if not difference <= TOLERANCE * spread and scheme_of(graph) == "none":
        raise UserError(
            f"{model.core.name} could not be put into a graph: that gives other results "
            f"({difference:.2g} apart); please report the file"
        )


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _metrics(model: ForeignModel, path: Path) -> dict[str, Any]:
    return {
        "original_sha256": sha256_of(path),
        "original_stamp": original_stamp(str(path), path),
        "original_size_bytes": sum(map(size_bytes, model_files(path))),
        "original_gzipped_bytes": sum(map(gzipped_bytes, model_files(path))),
        "gives_probabilities": model.answers.probabilities,
        "batch_was_fixed": bool(model.core.signature.batch),
        "notes": [f"{path.name} {note}" for note in model.notes],
        "preprocessing": model.preprocessing.in_words(),
    }
