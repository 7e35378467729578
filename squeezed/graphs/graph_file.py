"""A graph as one self-describing `.onnx` file: what it computes, and what a user must know of it.

The card stands in the file's metadata, so that it can be read without this project: each entry is
plain text or JSON (docs/onnx.md). The same graph and card give the same bytes. Loads no torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import helper

from squeezed.foundation.errors import UserError, first_line
from squeezed.foundation.files import atomic_path

KEPT_FILE = "litert"
"""The entry that holds a TFLite file of which a graph was made."""


@dataclass(frozen=True)
class GraphCard:
    """What a graph's file says of it.

    The fields from `orientation` to `text` are those of a data set's `preprocessing`: what becomes
    of an image file before the graph, in this order.
    """

    class_names: list[str]
    """In the order of the logits."""
    image_size: tuple[int, int]
    """Height and width of the input."""
    mean: list[float]
    """Of each channel in [0, 1]; the graph subtracts it."""
    std: list[float]
    """Of each channel; the graph divides by it."""
    architecture: str
    variant: str
    seed: int
    orientation: str = "exif"
    """The image is turned upright as its EXIF entry says."""
    channel_order: str = "RGB"
    resize: int | None = None
    """The shorter side is resized to this many pixels; None: as it is."""
    interpolation: str | None = None
    """`bilinear`: Pillow's filter; None where nothing is resized."""
    antialias: bool | None = None
    """The filter averages over more pixels where it shrinks the image."""
    crop: int | None = None
    """Side of the central square that is kept; None: all of it."""
    input_range: Sequence[float] = (0.0, 1.0)
    text: str = ""
    """The same in words."""
    normalisation_inside: bool = True
    scheme: str = "none"
    """Of quantization: none, static or dynamic."""
    recipe: list[dict[str, Any]] = field(default_factory=list)
    """The steps that made it, the baseline's first, each with its settings."""
    parents: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file that it was made from, by variant."""


def read_graph(path: str | Path) -> onnx.ModelProto:
    """Read a graph.

    Raises:
        UserError: if the file is missing or is no ONNX model.
    """
    try:
        model = onnx.load(path)
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise UserError(f"{path} cannot be read as an ONNX model ({first_line(error)})") from error
    if not model.graph.output:
        raise UserError(f"{path} cannot be read as an ONNX model (it has no graph)")
    return model


def read_graph_card(source: str | Path | onnx.ModelProto) -> GraphCard:
    """Read what a graph's file says of it.

    Args:
        source: the file, or the graph that was read from it.

    Raises:
        UserError: if the file is no ONNX model, or none that this project wrote.
    """
    model = source if isinstance(source, onnx.ModelProto) else read_graph(source)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    try:
        return _card(entries)
    except (KeyError, TypeError, ValueError) as error:
        name = "the model" if isinstance(source, onnx.ModelProto) else source
        raise UserError(
            f"{name} does not say how its images are prepared and what its classes are (metadata "
            f"{error}): it was not written by squeezed; import it"
        ) from error


def write_graph(path: str | Path, model: onnx.ModelProto, card: GraphCard) -> None:
    """Write a graph and its card, whole or not at all; the same ones give the same bytes.

    Args:
        path: the `.onnx` file.
        model: its metadata are replaced by the card's, but for a file that it keeps
            (`squeezed.graphs.foreign.kept`).
        card: describes `model`.

    Raises:
        UserError: if the graph is larger than one ONNX file can be (2 GiB).
    """
    entries = {entry.key: entry.value for entry in model.metadata_props if entry.key == KEPT_FILE}
    del model.metadata_props[:]
    helper.set_model_props(model, {**_metadata(card), **entries})
    try:
        content = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise UserError(
            f"{path} cannot be written: the graph of {card.architecture} is larger than the 2 GiB "
            "that one ONNX file holds; choose a smaller architecture"
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _metadata(card: GraphCard) -> dict[str, str]:
    """Return the card as the entries of a file; values that are not text are JSON."""
    values = {
        "architecture": card.architecture,
        "variant": card.variant,
        "seed": card.seed,
        "classes": card.class_names,
        "image_size": list(card.image_size),
        "preprocessing": card.text,
        "orientation": card.orientation,
        "channel_order": card.channel_order,
        "resize": card.resize,
        "interpolation": card.interpolation,
        "antialias": card.antialias,
        "crop": card.crop,
        "input_range": list(card.input_range),
        "normalisation": {
            "inside": card.normalisation_inside,
            "mean": card.mean,
            "std": card.std,
        },
        "quantization": card.scheme,
        "recipe": card.recipe,
        "parents": card.parents,
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in values.items()
    }


def _card(entries: Mapping[str, str]) -> GraphCard:
    height, width = json.loads(entries["image_size"])
    low, high = json.loads(entries["input_range"])
    normalisation = json.loads(entries["normalisation"])
    return GraphCard(
        class_names=json.loads(entries["classes"]),
        image_size=(height, width),
        mean=normalisation["mean"],
        std=normalisation["std"],
        architecture=entries["architecture"],
        variant=entries["variant"],
        seed=json.loads(entries["seed"]),
        orientation=entries["orientation"],
        channel_order=entries["channel_order"],
        resize=json.loads(entries["resize"]),
        interpolation=None if entries["interpolation"] == "null" else entries["interpolation"],
        antialias=json.loads(entries["antialias"]),
        crop=json.loads(entries["crop"]),
        text=entries["preprocessing"],
        input_range=(low, high),
        normalisation_inside=normalisation["inside"],
        scheme=entries["quantization"],
        recipe=json.loads(entries["recipe"]),
        parents=json.loads(entries["parents"]),
    )
