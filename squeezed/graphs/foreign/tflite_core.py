"""A TFLite file in LiteRT. Needs the package ai-edge-litert."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from squeezed.foundation.errors import UserError, first_line
from squeezed.graphs.foreign.core import Floats, as_input
from squeezed.graphs.foreign.signature import Signature

_TYPES = {
    np.float32: TensorProto.FLOAT,
    np.float16: TensorProto.FLOAT16,
    np.uint8: TensorProto.UINT8,
    np.int8: TensorProto.INT8,
}
_FILE_TYPE = slice(4, 8), b"TFL3"


class TfliteCore:
    """As `squeezed.graphs.foreign.core.Core`."""

    def __init__(self, path: str | Path, threads: int = 1, *, content: bytes | None = None) -> None:
        """Read and load a file.

        Args:
            path: of the file.
            threads: of LiteRT.
            content: what would be read.

        Raises:
            UserError: if it is no classifier that LiteRT can run, or LiteRT is not installed.
        """
        self.name = str(path)
        self.content = _read_bytes(path) if content is None else content
        """Of the file."""
        place, magic = _FILE_TYPE
        if self.content[place] != magic:
            raise UserError(f"{path} is not a TFLite file: it begins with {self.content[:8]!r}")
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UserError(
                f"{path} is run by LiteRT, which is not installed: pip install ai-edge-litert"
            ) from error
        try:
            self.interpreter = Interpreter(model_content=self.content, num_threads=threads)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path} cannot be run by LiteRT ({first_line(error)})") from error
        self.signature, self.scale, self.zero_point = self._read(self.name)
        self._batch = 0
        self._one_by_one = False

    @property
    def computes_in_integers(self) -> bool:
        """Whether any of its values are stored in 8 bits."""
        kinds = {np.dtype(each["dtype"]) for each in self.interpreter.get_tensor_details()}
        return bool(kinds & {np.dtype(np.int8), np.dtype(np.uint8)})

    def run(self, seen: Floats) -> Floats:
        """As `Core.run`; 8-bit outputs are given as the numbers that they stand for."""
        values = as_input(self.signature, seen)
        if len(values) > 1 and self._one_by_one:
            return np.concatenate([self.run(seen[k : k + 1]) for k in range(len(seen))])
        if len(values) != self._batch and not self._resize(len(values)):
            self._one_by_one = True
            return self.run(seen)
        given = self._invoke(values)
        if self.scale:
            given = (given.astype(np.float32) - self.zero_point) * np.float32(self.scale)
        return np.asarray(given, dtype=np.float32).reshape(len(values), -1)

    def _resize(self, images: int) -> bool:
        index = self.interpreter.get_input_details()[0]["index"]
        shape = [int(d) for d in self.interpreter.get_input_details()[0]["shape"]]
        try:
            self.interpreter.resize_tensor_input(index, [images, *shape[1:]])
            self.interpreter.allocate_tensors()
            answer = self.interpreter.get_output_details()[0]["shape"]
        except (ValueError, RuntimeError) as error:
            if images == 1:
                raise UserError(f"{self.name} cannot be run ({first_line(error)})") from error
            return False
        self._batch = images
        return bool(answer[0] == images)

    def _invoke(self, values: NDArray[np.generic]) -> NDArray[Any]:
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], values)
        self.interpreter.invoke()
        given: NDArray[Any] = self.interpreter.get_tensor(
            self.interpreter.get_output_details()[0]["index"]
        )
        return given

    def _read(self, name: str) -> tuple[Signature, float, int]:
        inputs, outputs = (
            self.interpreter.get_input_details(),
            self.interpreter.get_output_details(),
        )
        for what, details in (("input", inputs), ("output", outputs)):
            if len(details) != 1:
                names = ", ".join(str(each["name"]) for each in details[:4])
                raise UserError(
                    f"{name} has {len(details)} {what}s ({names}): a classifier has one {what}"
                )
        image, answer = inputs[0], outputs[0]
        shape, element = [int(d) for d in image["shape"]], _TYPES.get(image["dtype"])
        if element is None or len(shape) != 4 or shape[3] not in (1, 3):
            raise UserError(
                f"{name} takes {np.dtype(image['dtype'])} {shape}: pictures come as float, "
                "uint8 or int8, four dimensions with 1 or 3 channels last"
            )
        classes = [int(d) for d in answer["shape"]]
        while len(classes) > 2 and classes[1] == 1:
            del classes[1]
        if len(classes) != 2:
            raise UserError(
                f"{name} gives {len(classes)} dimensions {classes}, as detectors and segmenters "
                "do: a classifier gives one number for each class"
            )
        scale, zero_point = answer["quantization"]
        signature = Signature(
            input=str(image["name"]),
            element=element,
            channels_last=True,
            batch=None,
            channels=shape[3],
            height=shape[1],
            width=shape[2],
            output=str(answer["name"]),
            output_element=_TYPES.get(answer["dtype"], TensorProto.FLOAT),
            classes=classes[1],
        )
        whole = signature.output_element in (TensorProto.UINT8, TensorProto.INT8)
        return signature, float(scale) if whole else 0.0, int(zero_point)


def _read_bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
