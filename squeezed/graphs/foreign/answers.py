"""What the numbers are that a model gives: logits, or probabilities in many levels or in few."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LEVELS = 256
"""Of 8 bits."""
ROUNDED_SUMS = (0.5, 1.1)
"""Between which probabilities of 8 bits sum to: small ones round to 0."""


@dataclass(frozen=True)
class Answers:
    """What the numbers that a model gives are."""

    probabilities: bool
    """Else logits, or scores that are taken for them."""
    floor: float = 1e-12
    """What a probability of 0 is taken for: half a step where it has few levels."""

    def logits(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits for what the model gave."""
        return np.log(given.clip(self.floor, 1.0)) if self.probabilities else given


def recognise(given: NDArray[np.float32]) -> Answers:
    """Tell probabilities from logits by their values.

    Probabilities lie in [0, 1] and sum to 1; those of at most 256 levels only about, because each
    was rounded.

    Args:
        given: what the model gave for some images, shape (n, classes).
    """
    if given.shape[1] < 2 or given.min() < -1e-6 or given.max() > 1 + 1e-3:
        return Answers(probabilities=False)
    sums = given.sum(axis=1)
    levels = np.unique(given)
    step = float(np.diff(levels).min()) if len(levels) > 1 else 0.0
    multiples = levels / step if step else levels
    few = len(levels) <= LEVELS and step > 1e-4 and bool(np.allclose(multiples, np.rint(multiples)))
    low, high = ROUNDED_SUMS if few else (1 - 1e-2, 1 + 1e-2)
    if sums.min() < low or sums.max() > high:
        return Answers(probabilities=False)
    return Answers(probabilities=True, floor=step / 2) if few else Answers(probabilities=True)


def dequantize_output(model: onnx.ModelProto) -> None:
    """Let a graph whose only output is 8-bit integers give the numbers they stand for, in place.

    Without a known scale it is left as it is.
    """
    if len(model.graph.output) != 1:
        return
    (output,) = model.graph.output
    if output.type.tensor_type.elem_type not in (TensorProto.UINT8, TensorProto.INT8):
        return
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    maker = next((node for node in model.graph.node if output.name in node.output), None)
    if maker is None or len(maker.input) < 3 or not set(maker.input[-2:]) <= constants.keys():
        return
    scale, zero = (numpy_helper.to_array(constants[name]) for name in maker.input[-2:])
    if scale.dtype != np.float32 or scale.size != 1 or zero.size != 1:
        return
    name = f"{output.name} as numbers"
    model.graph.node.append(
        helper.make_node("DequantizeLinear", [output.name, *maker.input[-2:]], [name], name)
    )
    output.name = name
    output.type.tensor_type.elem_type = TensorProto.FLOAT
