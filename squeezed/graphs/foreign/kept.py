"""A TFLite file within the graph that was made from it: LiteRT runs the user's own bytes.

The graph's nodes are for what needs a gradient; the file and what is done around it stand in the
graph's metadata. Where no nodes could be made of the file, one stands for it (`stand_in`), which
the twin runs in LiteRT, too, without a gradient.
"""

import base64
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from squeezed.foundation.errors import UserError
from squeezed.graphs.foreign.answers import Answers
from squeezed.graphs.foreign.classes import Outputs
from squeezed.graphs.foreign.model import ForeignModel
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.foreign.tflite_core import TfliteCore
from squeezed.graphs.graph_file import KEPT_FILE

DOMAIN, OPERATOR = "squeezed", "LiteRT"
"""Of the node that stands for a file: images (n, C, H, W) as its model wants them to answers."""


def graph_of(model: ForeignModel) -> tuple[onnx.ModelProto, str | None]:
    """Return a model's graph, and why it has no twin that can be differentiated, or None.

    Raises:
        UserError: if the batch of an ONNX file cannot be freed.
    """
    if not isinstance(model.core, TfliteCore):
        return model.graph(), None
    try:
        graph, why = model.graph(), None
    except UserError as error:
        graph, why = _stand_in(model), str(error)
    _keep(graph, model, why)
    return graph, why


def _stand_in(model: ForeignModel) -> onnx.ModelProto:
    """Return a graph with one node in place of the file."""
    signature = dataclasses.replace(
        model.core.signature,
        input="seen",
        element=TensorProto.FLOAT,
        channels_last=False,
        output="given",
        output_element=TensorProto.FLOAT,
    )
    seen: list[int | str | None] = ["n", signature.channels, *model.size]
    given: list[int | str | None] = ["n", signature.classes]
    inputs = [helper.make_tensor_value_info(signature.input, TensorProto.FLOAT, seen)]
    outputs = [helper.make_tensor_value_info(signature.output, TensorProto.FLOAT, given)]
    node = helper.make_node(
        OPERATOR, [signature.input], [signature.output], OPERATOR, domain=DOMAIN
    )
    source = helper.make_model(
        helper.make_graph([node], "stand-in", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)],
        ir_version=8,
    )
    return model.around(source, signature)


def _keep(graph: onnx.ModelProto, model: ForeignModel, why_no_twin: str | None) -> None:
    """Write a model's TFLite file, and what is done around it, into a graph, in place."""
    assert isinstance(model.core, TfliteCore)
    entry = {
        "name": model.core.name,
        "preprocessing": dataclasses.asdict(model.preprocessing),
        "answers": dataclasses.asdict(model.answers),
        "outputs": dataclasses.asdict(model.outputs),
        "size": list(model.size),
        "why_no_twin": why_no_twin,
        "file": base64.b64encode(model.core.content).decode("ascii"),
    }
    graph.metadata_props.add(key=KEPT_FILE, value=json.dumps(entry))


def kept(graph: onnx.ModelProto, threads: int = 1) -> ForeignModel | None:
    """Return the model that a graph keeps, in LiteRT; None if it keeps none.

    Raises:
        UserError: if LiteRT is not installed, or cannot run it.
    """
    read = _entry(graph)
    if not read:
        return None
    said, (height, width) = read["preprocessing"], read["size"]
    return ForeignModel(
        TfliteCore(read["name"], threads, content=base64.b64decode(read["file"])),
        Preprocessing(
            tuple(said["range"]), tuple(said["mean"]), tuple(said["std"]), said["channel_order"]
        ),
        Answers(**read["answers"]),
        Outputs(**read["outputs"]),
        (height, width),
    )


def keeps_file(path: str | Path) -> bool:
    """Whether a file is a graph that keeps a TFLite file."""
    return _noted(path)[0]


def why_no_twin(path: str | Path) -> str | None:
    """Return why one node stands for the TFLite file that a graph keeps; None if none does."""
    return _noted(path)[1]


def _noted(path: str | Path) -> tuple[bool, str | None]:
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError:
        return False, None
    return _read(Path(path), changed)


@functools.lru_cache
def _read(path: Path, changed_ns: int) -> tuple[bool, str | None]:
    """Read what a file keeps, once while it stays as it is: graphs may have hundreds of MB."""
    try:
        entry = _entry(onnx.load(path, load_external_data=False))
    except (OSError, DecodeError):
        return False, None
    return bool(entry), entry.get("why_no_twin")


def _entry(graph: onnx.ModelProto) -> dict[str, Any]:
    for entry in graph.metadata_props:
        if entry.key == KEPT_FILE:
            return dict(json.loads(entry.value))
    return {}
