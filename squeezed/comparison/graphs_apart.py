"""A variant's graph beside the baseline's, layer by layer, on a data set's images. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from squeezed.comparison.composition import composition_of, layer_table
from squeezed.comparison.divergence import divergence_table
from squeezed.graphs.foreign.kept import kept
from squeezed.graphs.foreign.model import ForeignModel, open_foreign
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.graph_file import read_graph


@dataclass(frozen=True)
class GraphsApart:
    """What `graphs_apart` found."""

    layers: pd.DataFrame
    """Columns of `squeezed.comparison.composition.layer_table`, and `relative_error` and
    `matched_by` of `squeezed.comparison.divergence.divergence_table`: empty where activations could
    not be paired."""
    metrics: dict[str, Any]
    """What it comes to, flat."""


def graphs_apart(
    graph: Path, baseline: Path, images: NDArray[np.float32], threads: int
) -> GraphsApart:
    """Return what both graphs' layers are stored in and computed in, and where they part.

    Args:
        graph: from images in [0, 1] to logits, as all variants' are.
        baseline: likewise.
        images: shape (n, C, H, W), in [0, 1].
        threads: of the engine.

    Raises:
        UserError: if a graph cannot be run on these images.
    """
    models = [_opened(path, images) for path in (baseline, graph)]
    compositions = [
        composition_of(path, model.core, threads)
        for path, model in zip((baseline, graph), models, strict=True)
    ]
    apart = divergence_table(models[0], models[1], images)
    layers = layer_table(*compositions).merge(
        apart[["layer", "relative_error", "matched_by"]], how="left", on="layer"
    )
    own = compositions[1]
    metrics: dict[str, Any] = {
        "n_images": len(images),
        "layers": len(own.layers),
        "layers_stored_in_float": own.stored_float,
        "layers_executed_in_float": own.executed_float,
        "layers_paired": len(apart),
    }
    if len(apart):
        worst = apart.iloc[int(apart["relative_error"].to_numpy().argmax())]
        metrics |= {
            "layers_paired_by": str(worst["matched_by"]),
            "median_relative_error": float(apart["relative_error"].median()),
            "largest_relative_error": float(worst["relative_error"]),
            "largest_relative_error_layer": str(worst["layer"]),
        }
    return GraphsApart(layers, metrics)


def _opened(path: Path, images: NDArray[np.float32]) -> ForeignModel:
    brought = kept(read_graph(path))
    if brought is not None:
        return brought
    height, width = images.shape[2:]
    # A graph of this project does all preprocessing itself.
    return open_foreign(path, Preprocessing(), None, (height, width), images)
