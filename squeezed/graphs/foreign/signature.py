"""What goes into a classifier and what comes out of it, read from its graph."""

from dataclasses import dataclass
from typing import Literal

import onnx
from onnx import TensorProto

from squeezed.foundation.errors import UserError

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}
WHOLE = {TensorProto.UINT8, TensorProto.INT8}
TEXT_WORDS = ("input_ids", "token", "attention_mask", "position_ids")
DETECTOR_WORDS = ("box", "bbox", "anchor", "mask", "keypoint", "detection")

Layout = Literal["auto", "nchw", "nhwc"]


@dataclass(frozen=True)
class Signature:
    """Input and output of a classifier."""

    input: str
    element: int
    """Type of the input's numbers, `onnx.TensorProto.DataType`."""
    channels_last: bool
    batch: int | None
    """None: free."""
    channels: int
    height: int | None
    width: int | None
    output: str
    output_element: int
    classes: int | None
    """None: only running it tells."""

    @property
    def whole_numbers(self) -> bool:
        """Whether it takes pixels as 8-bit integers."""
        return self.element in WHOLE

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width; None where either is free."""
        return None if self.height is None or self.width is None else (self.height, self.width)


def signature_of(model: onnx.ModelProto, name: str, layout: Layout = "auto") -> Signature:
    """Return what a classifier takes and gives.

    Args:
        model: the graph.
        name: the file's, for messages.
        layout: of the input; `auto`: where its one or three channels stand.

    Raises:
        UserError: if it is no classifier of single images.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    outputs = list(model.graph.output)
    _check_kind(model, inputs, outputs, name)
    (image,), (answer,) = inputs, outputs
    element = image.type.tensor_type.elem_type
    dims = [d.dim_value or None for d in image.type.tensor_type.shape.dim]
    if element not in FLOATS | WHOLE:
        kind = TensorProto.DataType.Name(element).lower()
        raise UserError(f"{name} takes numbers of type {kind}: images come as float, uint8 or int8")
    if len(dims) != 4:
        raise UserError(
            f"{name} takes {len(dims)} dimensions {_shape(image)}: images come in batches of four "
            "(number, channels, height, width)"
        )
    last = _is_channels_last(dims, layout, name)
    channels, height, width = (dims[3], dims[1], dims[2]) if last else tuple(dims[1:])
    if channels not in (1, 3):
        raise UserError(
            f"{name} takes images of {channels or 'any number of'} channels {_shape(image)}: "
            "pictures have 1 or 3"
        )
    return Signature(
        input=image.name,
        element=element,
        channels_last=last,
        batch=dims[0],
        channels=channels,
        height=height,
        width=width,
        output=answer.name,
        output_element=answer.type.tensor_type.elem_type,
        classes=_classes(answer, name),
    )


def _check_kind(
    model: onnx.ModelProto,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    name: str,
) -> None:
    asked = " ".join(value.name.lower() for value in inputs)
    integers = {TensorProto.INT64, TensorProto.INT32, TensorProto.STRING}
    if any(word in asked for word in TEXT_WORDS) or (
        inputs and all(v.type.tensor_type.elem_type in integers for v in inputs)
    ):
        raise UserError(
            f"{name} is a text model (its inputs: {_names(inputs)}): only classifiers of images "
            "can be compared"
        )
    answers = " ".join(value.name.lower() for value in outputs)
    finds = any(node.op_type == "NonMaxSuppression" for node in model.graph.node)
    if finds or (len(outputs) > 1 and any(word in answers for word in DETECTOR_WORDS)):
        raise UserError(
            f"{name} is a detector (its outputs: {_names(outputs)}): only classifiers, which give "
            "one number for each class, can be compared"
        )
    for what, values in (("input", inputs), ("output", outputs)):
        if len(values) != 1:
            raise UserError(
                f"{name} has {len(values)} {what}s ({_names(values)}): a classifier has one "
                f"{what}; export it with one"
            )


def _is_channels_last(dims: list[int | None], layout: Layout, name: str) -> bool:
    if layout != "auto":
        return layout == "nhwc"
    first, last = dims[1] in (1, 3), dims[3] in (1, 3)
    if first == last and not first:
        raise UserError(
            f"{name} does not say which dimension of its input holds the channels "
            f"({_dims(dims)}): say layout: nchw or nhwc"
        )
    return last and not first


def _classes(answer: onnx.ValueInfoProto, name: str) -> int | None:
    tensor = answer.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    dims = [d.dim_value or None for d in tensor.shape.dim]
    while len(dims) > 2 and dims[-1] == 1:
        dims.pop()
    if len(dims) != 2:
        raise UserError(
            f"{name} gives {len(dims)} dimensions {_shape(answer)}, as detectors and segmenters "
            "do: a classifier gives one number for each class"
        )
    return dims[1]


def _names(values: list[onnx.ValueInfoProto]) -> str:
    names = [f"{value.name} {_shape(value)}" for value in values]
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "") if names else "none"


def _shape(value: onnx.ValueInfoProto) -> str:
    return _dims([d.dim_value or None for d in value.type.tensor_type.shape.dim])


def _dims(dims: list[int | None]) -> str:
    return f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]"
