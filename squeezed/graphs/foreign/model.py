"""A foreign classifier, understood: from images in [0, 1] to logits of their classes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from squeezed.foundation.errors import UserError
from squeezed.graphs.foreign.answers import Answers, recognise
from squeezed.graphs.foreign.classes import Outputs, match_outputs
from squeezed.graphs.foreign.core import Core, OnnxCore
from squeezed.graphs.foreign.opening import core_of
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.foreign.signature import Layout, Signature
from squeezed.graphs.foreign.tflite_core import TfliteCore
from squeezed.graphs.foreign.wrapping import LUMA, wrap
from squeezed.graphs.tflite import tflite_graph

Floats = NDArray[np.float32]


@dataclass
class ForeignModel:
    """A model of somebody else's with all that is done before and behind it."""

    core: Core
    preprocessing: Preprocessing
    answers: Answers
    outputs: Outputs
    size: tuple[int, int]
    """Height and width of the images."""
    notes: list[str] = field(default_factory=list)
    """What was found out of the model, a sentence each."""

    def logits(self, images: Floats) -> Floats:
        """Return logits, shape (n, classes), of images (n, 1 or 3, H, W) in [0, 1]."""
        seen = self.preprocessing.apply(in_channels(images, self.core.signature.channels))
        return self.answers.logits(self.core.run(seen))[:, self.outputs.order]

    def graph(self) -> onnx.ModelProto:
        """Return the whole as one graph from `images` (n, 3, H, W) to `logits`.

        Raises:
            UserError: if it is a TFLite file of which none can be made, or its batch cannot be
                freed.
        """
        if isinstance(self.core, TfliteCore):
            source = tflite_graph(self.core.content, self.core.name)
            signature = replace(
                self.core.signature,
                input=source.graph.input[0].name,
                output=source.graph.output[0].name,
                output_element=onnx.TensorProto.FLOAT,
            )
            return self.around(source, signature)
        assert isinstance(self.core, OnnxCore)
        if self.core.fixed_batch is not None:
            raise UserError(
                f"{self.core.name} takes {self.core.fixed_batch} images at a time, and its nodes "
                "cannot be given another number; export it with a free batch dimension"
            )
        return self.around(self.core.model, self.core.signature)

    def around(self, source: onnx.ModelProto, signature: Signature) -> onnx.ModelProto:
        """Return the whole with `source`, whose signature is given, in place of the file."""
        return wrap(
            source, signature, self.preprocessing, self.answers, self.outputs.order, self.size
        )


def in_channels(images: Floats, channels: int) -> Floats:
    """Return images with 1 or 3 channels: grey by Pillow's weights, or grey repeated."""
    if images.shape[1] == channels:
        return images
    if channels == 1:
        weights = np.array(LUMA, np.float32).reshape(1, 3, 1, 1)
        return np.asarray((images * weights).sum(axis=1, keepdims=True, dtype=np.float32))
    return np.repeat(images, channels, axis=1)


def open_foreign(
    path: str | Path,
    preprocessing: Preprocessing,
    class_names: Sequence[str] | None,
    size: tuple[int, int],
    sample: Floats,
    *,
    labels: str | Path | None = None,
    layout: Layout = "auto",
    threads: int = 1,
    core: Core | None = None,
) -> ForeignModel:
    """Open a model and find out what it takes and gives.

    Args:
        path: an ONNX or TFLite file; it is only read.
        preprocessing: what it wants its images to be. A graph of this project knows better.
        class_names: of the images, in the order of their labels; None: they have none.
        size: height and width of the images.
        sample: some of them, (n, C, H, W) in [0, 1], to tell probabilities from logits by.
        labels: a file of the outputs' names, or `background_first`.
        layout: of the input.
        threads: of the engine.
        core: the file already opened.

    Raises:
        UserError: if the model does not fit images, classes or settings.
    """
    core = core or core_of(path, threads, layout)
    signature = core.signature
    if signature.size is not None and signature.size != size:
        raise UserError(
            f"{path} takes images of {signature.height} × {signature.width} pixels only, but they "
            f"have {size[0]} × {size[1]}: resize and crop them to its size"
        )
    notes = []
    own_names = _own_names(core)
    if own_names is not None:
        preprocessing = Preprocessing()
    if signature.whole_numbers and preprocessing.range != (0.0, 1.0):
        preprocessing = Preprocessing(channel_order=preprocessing.channel_order)
    if signature.whole_numbers and not preprocessing.is_plain:
        raise UserError(
            f"{path} takes pixels as 8-bit integers, which no mean and std can be applied to; "
            "leave them out"
        )
    preprocessing.normalisation(signature.channels)
    given = core.run(preprocessing.apply(in_channels(sample, signature.channels)))
    if not np.isfinite(given).all():
        raise UserError(
            f"{path} gives numbers that are no numbers (NaN or infinity) for the images: its "
            "weights are damaged, or its preprocessing is another"
        )
    answers = recognise(given)
    if answers.probabilities:
        levels = ", in 256 levels that tie" if answers.floor > 1e-6 else ""
        notes.append(f"gives probabilities{levels} (their logarithms are taken as logits)")
    if given.shape[1] < 2:
        raise UserError(
            f"{path} gives {given.shape[1]} number for an image: a classifier gives one for each "
            "class, two at least"
        )
    if labels is None and own_names is not None and class_names is None:
        outputs = Outputs(list(range(len(own_names))), own_names)
    else:
        outputs = match_outputs(given.shape[1], labels, class_names, str(path))
    if len(outputs.order) < given.shape[1]:
        notes.append("has an output for the background, which is left out")
    if isinstance(core, OnnxCore) and core.alone:
        notes.append("takes the range of each batch, so that images are run one by one")
    return ForeignModel(core, preprocessing, answers, outputs, size, notes)


def _own_names(core: Core) -> list[str] | None:
    """Return the classes of a graph that this project wrote, whose normalisation is inside."""
    if not isinstance(core, OnnxCore):
        return None
    entries = {entry.key: entry.value for entry in core.model.metadata_props}
    if core.model.producer_name != "squeezed" and "recipe" not in entries:
        return None
    try:
        names = json.loads(entries["classes"])
        inside = json.loads(entries["normalisation"]).get("inside", True)
    except (KeyError, ValueError, AttributeError):
        return None
    return [str(name) for name in names] if inside else None
