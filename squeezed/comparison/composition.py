"""What the layers of both files are stored in and computed in, and what that sums up to."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from squeezed.foundation.errors import UserError
from squeezed.graphs.engines import open_engine
from squeezed.graphs.foreign.core import Core, OnnxCore
from squeezed.graphs.foreign.onnx_file import model_files
from squeezed.graphs.foreign.tflite_core import TfliteCore
from squeezed.graphs.layers import list_layers, totals
from squeezed.graphs.sizes import gzipped_bytes, size_bytes
from squeezed.graphs.tflite.layers import tflite_layers

INTEGERS = frozenset({"int8", "uint8", "int4", "uint4", "int2", "uint2"})


@dataclass(frozen=True)
class Composition:
    """A file's layers with weights, and its parameters."""

    layers: pd.DataFrame
    """Columns `layer`, `shape`, `stored`, `executed`: convolutions, fully connected."""
    parameters: int
    nonzero_parameters: int

    @property
    def stored_float(self) -> int:
        """How many layers have weights in float."""
        return int((~self.layers["stored"].isin(INTEGERS)).sum())

    @property
    def executed_float(self) -> int:
        """How many layers the engine computes in float."""
        return int((~self.layers["executed"].isin(INTEGERS)).sum())


def composition_of(path: str | Path, core: Core, threads: int) -> Composition:
    """Return what a file is made of, and what its engine makes of that.

    Raises:
        UserError: if the file has no layer with weights.
    """
    columns = ["layer", "shape", "stored", "executed"]
    if isinstance(core, TfliteCore):
        executed = open_engine(path, threads, "litert").executed_precisions()
        layers = [each.layer for each in tflite_layers(core.content)]
    else:
        assert isinstance(core, OnnxCore)
        executed = open_engine(path, threads).executed_precisions()
        layers = list_layers(core.model, executed)
    rows = [
        (each.layer, each.shape, each.stored, executed[each.layer])
        for each in layers
        if each.kind in ("convolution", "fully_connected")
    ]
    if not rows:
        raise UserError(f"{path} has no layer with weights: it is no network that was trained")
    sums = totals(layers)
    return Composition(
        pd.DataFrame(rows, columns=columns), sums["parameters"], sums["nonzero_parameters"]
    )


def layer_table(original: Composition, compressed: Composition) -> pd.DataFrame:
    """Return both files' layers side by side.

    Layers are paired by name; where no name is in both, by their order if there are as many. What
    only one file has is empty in the other's columns.
    """
    first, second = original.layers, compressed.layers
    shared = set(first["layer"]) & set(second["layer"])
    if not shared and len(first) == len(second):
        second = second.assign(layer=first["layer"].to_numpy())
    names = list(dict.fromkeys([*first["layer"], *second["layer"]]))
    both = [
        each.set_index("layer").reindex(names).add_suffix(suffix)
        for each, suffix in ((first, "_original"), (second, "_compressed"))
    ]
    return pd.concat(both, axis=1).reset_index()


def file_table(
    paths: list[Path], compositions: list[Composition], latencies: list[float]
) -> pd.DataFrame:
    """Return one row for each file: size, parameters, latency, precision of its layers.

    The original's is the first. Sizes count weights that lie in files beside the model.
    """
    return pd.DataFrame(
        {
            "model": ["original", "compressed"][: len(paths)],
            "file": [path.name for path in paths],
            "size_bytes": [sum(map(size_bytes, model_files(path))) for path in paths],
            "gzipped_bytes": [sum(map(gzipped_bytes, model_files(path))) for path in paths],
            "parameters": [each.parameters for each in compositions],
            "nonzero_parameters": [each.nonzero_parameters for each in compositions],
            "layers": [len(each.layers) for each in compositions],
            "layers_stored_in_float": [each.stored_float for each in compositions],
            "layers_executed_in_float": [each.executed_float for each in compositions],
            "latency_ms": latencies,
        }
    )
