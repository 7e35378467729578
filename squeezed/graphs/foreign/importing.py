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
from squeezed.foundation.files import sha256_of
from squeezed.graphs.foreign.core import OnnxCore, run_session
from squeezed.graphs.foreign.model import ForeignModel, open_foreign
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.foreign.signature import Layout
from squeezed.graphs.graph_file import GraphCard
from squeezed.graphs.sizes import gzipped_bytes, size_bytes

SAMPLE = 32
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
class ImportedGraph:
    """A graph made from a file, and what was found out of it."""

    graph: onnx.ModelProto
    card: GraphCard
    metrics: dict[str, Any]


def import_graph(
    settings: ImportSettings, dataset: Dataset, *, variant: str, seed: int, threads: int
) -> ImportedGraph:
    """Make a graph from an ONNX file, for a data set.

    Args:
        settings: name the file, and what it wants.
        dataset: whose images it is to judge; its training images tell probabilities from logits.
        variant: the variant's name, for the card.
        seed: the run's, for the card.
        threads: of the engine.

    Raises:
        UserError: if the file is no classifier that fits the data set.
    """
    if settings.path is None:
        raise UserError("config.yaml: the step 'import' needs a path: the file to import")
    indices = np.unique(np.linspace(0, len(dataset.train) - 1, SAMPLE).astype(int))
    sample = dataset.train.images(indices)
    model = open_foreign(
        settings.path,
        settings.preprocessing(),
        dataset.class_names,
        dataset.image_size,
        sample,
        labels=settings.outputs,
        layout=settings.layout,
        threads=threads,
    )
    graph = model.graph()
    _check_same(model, graph, sample, threads)
    card = card_of(model, settings.path, dataset, variant=variant, seed=seed)
    return ImportedGraph(graph, card, _metrics(model, settings.path))


def card_of(
    model: ForeignModel, path: str | Path, dataset: Dataset, *, variant: str, seed: int
) -> GraphCard:
    """Return what the graph's file will say of it."""
    mean, std = model.preprocessing.normalisation(model.core.signature.channels)
    assert isinstance(model.core, OnnxCore)
    return GraphCard(
        class_names=model.outputs.names,
        image_size=dataset.image_size,
        mean=[float(value) for value in mean],
        std=[float(value) for value in std],
        architecture=Path(path).stem,
        variant=variant,
        seed=seed,
        scheme=scheme_of(model.core.model),
    )


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


def _metrics(model: ForeignModel, path: str) -> dict[str, Any]:
    file = Path(path)
    return {
        "original_sha256": sha256_of(file),
        "original_size_bytes": size_bytes(file),
        "original_gzipped_bytes": gzipped_bytes(file),
        "gives_probabilities": model.answers.probabilities,
        "batch_was_fixed": bool(model.core.signature.batch),
        "notes": [f"{file.name} {note}" for note in model.notes],
        "preprocessing": model.preprocessing.in_words(),
    }
