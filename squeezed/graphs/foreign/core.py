"""Run a foreign model in its own engine on what it wants to see, whatever form its file has."""

from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from squeezed.foundation.errors import UserError, first_line
from squeezed.foundation.exhaustion import exhausted
from squeezed.graphs.foreign.answers import dequantize_output
from squeezed.graphs.foreign.batch import free_batch
from squeezed.graphs.foreign.onnx_file import read_foreign_onnx
from squeezed.graphs.foreign.signature import Layout, Signature, signature_of

Floats = NDArray[np.float32]

TRIED = 3
"""Images in the batch that tells whether a freed graph computes what it did."""


class Core(Protocol):
    """A model as its file has it, without what is done before and after it."""

    name: str
    """The file's."""
    signature: Signature

    def run(self, seen: Floats) -> Floats:
        """Return what it gives, shape (n, k), for inputs (n, C, H, W) in its own units.

        A model that takes whole numbers is given pixels in [0, 1] and sees them in 256 levels.
        """
        ...


def run_session(
    path: str | Path, model: onnx.ModelProto, threads: int
) -> onnxruntime.InferenceSession:
    """Load a graph into ONNX Runtime.

    Raises:
        UserError: if ONNX Runtime cannot run it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal: what fails is said below, in a sentence
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's own exceptions share no other base
        if exhausted(error):
            raise
        raise UserError(f"{path} cannot be run by ONNX Runtime ({first_line(error)})") from error


class OnnxCore:
    """An ONNX file in ONNX Runtime."""

    def __init__(self, path: str | Path, threads: int = 1, layout: Layout = "auto") -> None:
        """Read and load a file.

        Raises:
            UserError: if it is no classifier that ONNX Runtime can run.
        """
        self.name = str(path)
        self.model = read_foreign_onnx(path)
        dequantize_output(self.model)
        self.signature = signature_of(self.model, self.name, layout)
        self._threads = threads
        self._session = run_session(path, self.model, threads)
        self.fixed_batch = self.signature.batch
        self.alone = any(
            node.op_type
            in ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")
            for node in self.model.graph.node
        )
        """Whether images of one batch would change each other's results."""
        if self.fixed_batch is not None:
            self._free()

    def run(self, seen: Floats) -> Floats:
        """As `Core.run`."""
        together = self.fixed_batch or (1 if self.alone else len(seen))
        parts = []
        for start in range(0, len(seen), together):
            part = seen[start : start + together]
            lacking = together - len(part)
            if lacking and self.fixed_batch:
                part = np.concatenate([part, np.repeat(part[-1:], lacking, axis=0)])
            parts.append(self._run(self._session, part)[: len(seen) - start])
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def _run(self, session: onnxruntime.InferenceSession, seen: Floats) -> Floats:
        try:
            (given,) = session.run(
                [self.signature.output], {self.signature.input: as_input(self.signature, seen)}
            )
        except Exception as error:  # the runtime's own exceptions share no other base
            raise UserError(
                f"{self.name} cannot be run on {seen.shape[2]} × {seen.shape[3]} pixels "
                f"({first_line(error)})"
            ) from error
        return np.asarray(given, dtype=np.float32).reshape(len(seen), -1)

    def _free(self) -> None:
        """Free the batch, if the graph then computes the same for each image."""
        assert self.fixed_batch is not None
        freed = free_batch(self.model, self.fixed_batch)
        # Another number than the file's own, with which any graph would do.
        tried = TRIED + (self.fixed_batch == TRIED)
        height, width = self.signature.size or (64, 64)
        channels = self.signature.channels
        seen = np.random.default_rng(0).random((tried, channels, height, width), np.float32)
        try:
            session = run_session(self.name, freed, self._threads)
            together = self._run(session, seen)
            if together.shape[0] == tried and self.alone:  # a batch has other ranges, rightly
                together = np.concatenate(
                    [self._run(session, seen[k : k + 1]) for k in range(tried)]
                )
        except UserError:
            return
        alone = self.run(seen)
        if together.shape == alone.shape and np.allclose(
            together, alone, rtol=1e-3, atol=1e-3 * float(np.abs(alone).max() + 1e-6)
        ):
            self.model, self._session, self.fixed_batch = freed, session, None


def as_input(signature: Signature, seen: Floats) -> NDArray[np.generic]:
    """Return inputs (n, C, H, W) in the type and layout that a model takes."""
    values = np.ascontiguousarray(seen.transpose(0, 2, 3, 1) if signature.channels_last else seen)
    if signature.whole_numbers:
        whole = np.rint(values * np.float32(255)).clip(0, 255)
        if signature.element == TensorProto.INT8:
            return (whole - 128).astype(np.int8)
        return whole.astype(np.uint8)
    if signature.element == TensorProto.FLOAT16:
        return values.astype(np.float16)
    if signature.element == TensorProto.DOUBLE:
        return values.astype(np.float64)
    return values
