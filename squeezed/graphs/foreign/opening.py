"""Open a file of somebody else's by its form, or say in one sentence why it is refused."""

from pathlib import Path

from squeezed.foundation.errors import UserError
from squeezed.graphs.foreign.core import Core, OnnxCore
from squeezed.graphs.foreign.signature import Layout
from squeezed.graphs.foreign.tflite_core import TfliteCore


def core_of(path: str | Path, threads: int = 1, layout: Layout = "auto") -> Core:
    """Open a model of any form that is known.

    Raises:
        UserError: if its form is not known, or it is no classifier.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".tflite":
        return TfliteCore(path, threads)
    if suffix in REFUSED:
        raise UserError(f"{path} {REFUSED[suffix]}")
    return OnnxCore(path, threads, layout)


_EXPORT = "export it: torch.onnx.export(model, (images,), 'model.onnx', dynamo=True)"
REFUSED = {
    ".pt2": "is a program of torch.export, which PyTorch reads only by running code that the file "
    f"names: it is refused unread; load it where you trust it and {_EXPORT}",
    ".pt": f"is a file of PyTorch without a graph that can be read: {_EXPORT}",
    ".pth": f"holds weights without their network: {_EXPORT}",
    ".th": f"holds weights without their network: {_EXPORT}",
    ".safetensors": f"holds weights without their network: {_EXPORT}",
    ".h5": "is a Keras file: convert it with tf2onnx to ONNX",
    ".keras": "is a Keras file: convert it with tf2onnx to ONNX",
    ".pb": "is a TensorFlow graph: convert it with tf2onnx to ONNX",
}
"""Why files of other forms are not read."""
