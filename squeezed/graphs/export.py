"""The deployed model: one `.onnx` file that needs nothing of this project.

It takes images in [0, 1]: normalisation is inside. Its metadata say what it is (docs/onnx.md).
"""

import json
from pathlib import Path

import onnx
from onnx import helper

from squeezed import __version__
from squeezed.foundation.files import atomic_path
from squeezed.graphs.onnx_graph import OPSET, onnx_graph
from squeezed.networks.classifier import Classifier
from squeezed.networks.network_file import ModelCard

IR_VERSION = 8
"""The file format that came with opset 17."""


def export_onnx(path: str | Path, model: Classifier, card: ModelCard) -> None:
    """Write `model` as ONNX, whole or not at all; the same model gives the same bytes.

    Args:
        path: the `.onnx` file.
        model: of any variant, in evaluation mode, on the CPU.
        card: describes `model`.

    Raises:
        UserError: if the network uses an operation whose ONNX form is not known.
    """
    graph = onnx_graph(model, card.image_size, len(card.class_names))
    exported = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="squeezed",
        producer_version=__version__,
    )
    helper.set_model_props(exported, metadata(card))
    onnx.checker.check_model(exported, full_check=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(exported.SerializeToString(deterministic=True))


def metadata(card: ModelCard) -> dict[str, str]:
    """Return what the file says of itself; values that are not text are JSON."""
    return {
        "architecture": card.architecture,
        "variant": card.variant,
        "classes": json.dumps(card.class_names, ensure_ascii=False),
        "image_size": json.dumps(list(card.image_size)),
        "input_range": json.dumps([0.0, 1.0]),
        "channel_order": "RGB",
        "normalisation": json.dumps({"inside": True, "mean": card.mean, "std": card.std}),
        "quantization": card.quantization["scheme"] if card.quantization else "none",
    }
