"""Read somebody's ONNX file: for reading only, whole, with external data."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import psutil
from google.protobuf.message import DecodeError
from onnx import TensorProto

from squeezed.foundation.errors import UserError

KNOWN_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}
)
"""Of the operators that ONNX Runtime brings."""
HISTORICAL = {"FusedConv", "FusedGemm", "LayerNormalization", "SimplifiedLayerNormalization"}
"""Operators that stand in ONNX's own domain in some files, and that ONNX Runtime runs there."""
COPIES = 3
"""How often a model's bytes lie in memory at once: read, parsed, and in the engine."""
_FIRST_FIELD = b"\x08"
"""How an ONNX file begins: the format's version is its first field."""


def read_foreign_onnx(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file with all its weights; nothing is ever written to it.

    Raises:
        UserError: if it is missing, no ONNX file, cut short, larger than the free memory, keeps
            weights outside of its folder, or has operators that are not ONNX Runtime's.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path} is {'a folder' if path.is_dir() else 'not there'}: name an ONNX file"
        )
    _check_memory(path, path.stat().st_size)
    content = path.read_bytes()
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise UserError(_not_a_model(path, content)) from error
    if not model.graph.node or not model.graph.output:
        raise UserError(_not_a_model(path, content))
    _load_external_data(model, path)
    _check_operators(model, path)
    return model


def model_files(path: str | Path) -> list[Path]:
    """Return a model's own file, and those beside it that hold its weights.

    Raises:
        UserError: if it is an ONNX file that cannot be read.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        return [path]
    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError) as error:
        raise UserError(f"{path} cannot be read as an ONNX file") from error
    places = {
        entry.value
        for tensor in _tensors(model)
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [path, *(path.parent / place for place in sorted(places))]


def subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all that lie in the attributes of its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.output:
                    yield from subgraphs(inner)


def _check_memory(path: Path, size: int) -> None:
    free = psutil.virtual_memory().available
    if size * COPIES > free:
        raise UserError(
            f"{path} needs more memory than there is: {size * COPIES / 1e9:.1f} GB to read and run "
            f"it, {free / 1e9:.1f} GB are free; take a machine with more"
        )


def _not_a_model(path: Path, content: bytes) -> str:
    if content.startswith(_FIRST_FIELD):
        return (
            f"{path} is cut short or damaged: it begins like an ONNX file and does not end as one"
        )
    if content.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS in place of the model (`git lfs pull` brings it)"
    what = "it is empty" if not content else f"it begins with {content[:8]!r}"
    return f"{path} is not an ONNX file: {what}"


def _load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Put into the model the weights that lie in files beside it."""
    outside = [tensor for tensor in _tensors(model) if tensor.data_location == TensorProto.EXTERNAL]
    folder = path.parent.resolve()
    sizes = {}
    for tensor in outside:
        place = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        file = (folder / place).resolve()
        if not place or Path(place).is_absolute() or not file.is_relative_to(folder):
            raise UserError(
                f"{path} keeps the weights {tensor.name!r} in {place!r}, which leads out of the "
                "model's folder: such a file is not followed; store the weights beside the model"
            )
        if not file.is_file():
            raise UserError(
                f"{path} keeps the weights {tensor.name!r} in {place!r}, which is not there: "
                "put that file beside the model"
            )
        sizes[file] = file.stat().st_size
    _check_memory(path, sum(sizes.values()))
    for tensor in outside:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = (folder / entries["location"]).resolve()
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", sizes[file] - offset))
        if offset < 0 or length < 0 or offset + length > sizes[file]:
            raise UserError(
                f"{path}: {entries['location']} is cut short, the weights {tensor.name!r} end "
                "behind its end"
            )
        with file.open("rb") as source:
            source.seek(offset)
            tensor.raw_data = source.read(length)
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    for graph in subgraphs(model.graph):
        yield from graph.initializer
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
    for function in model.functions:
        for node in function.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t


def _check_operators(model: onnx.ModelProto, path: Path) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    unknown = sorted(
        {
            f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            for graph in subgraphs(model.graph)
            for node in graph.node
            if (node.domain, node.op_type) not in own
            and (
                node.domain not in KNOWN_DOMAINS
                or (node.domain in ("", "ai.onnx") and not onnx.defs.has(node.op_type, ""))
            )
        }
        - HISTORICAL
    )
    if unknown:
        raise UserError(
            f"{path} has custom operators, which nothing here can run: {', '.join(unknown)}; "
            "export it with ONNX's own"
        )
