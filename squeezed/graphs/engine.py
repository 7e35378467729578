"""The deployed engine: ONNX Runtime on an exported model. Loads no torch."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from squeezed.foundation.errors import UserError

Logits = NDArray[np.float32]


class Engine:
    """One exported model, ready to run on the processor."""

    def __init__(self, path: str | Path, threads: int) -> None:
        """Load `path` to run with `threads` threads.

        It runs as it is. Exported weights are uint8, which is right on every processor; see
        `squeezed.graphs.integer_weights` for the faster form.

        Raises:
            UserError: if it is no ONNX file that ONNX Runtime can run.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors: warnings name nodes that were optimised away
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own exceptions share no other base
            raise UserError(f"{path} cannot be run by ONNX Runtime ({error})") from error
        self._input = self._session.get_inputs()[0].name
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of the logits."""
        names: list[str] = json.loads(self.metadata["classes"])
        return names

    def logits(self, images: NDArray[np.float32]) -> Logits:
        """Return the logits, shape (n, classes), of images (n, 3, H, W) in [0, 1]."""
        (logits,) = self._session.run(None, {self._input: images})
        return np.asarray(logits)

    def logits_of(self, batches: Iterator[NDArray[np.float32]]) -> Logits:
        """Return the logits of all images of all batches."""
        return np.concatenate([self.logits(images) for images in batches])
