"""What is known about the numbers of a value: their sign, and the grid that they lie on."""

import numpy as np

from squeezed.graphs.twin.registry import MICROSOFT
from squeezed.graphs.twin.values import Call, Grid, Scale, Value


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MOVES = _names(
    "Identity Reshape Flatten Transpose Squeeze Unsqueeze Slice Split Concat MaxPool GlobalMaxPool "
    "Gather GatherND Expand Dropout DepthToSpace SpaceToDepth Tile"
)
"""Operators whose results are among their input's numbers."""

_NONNEGATIVE = _names(
    "Relu Sigmoid HardSigmoid Softmax Abs Exp Sqrt Softplus ReduceL1 ReduceL2 ReduceSumSquare "
    "QLinearSigmoid QLinearSoftmax"
)
_NONNEGATIVE_OF_NONNEGATIVE = MOVES | _names(
    "Add Mul Div Max Min Sum Mean MatMul AveragePool GlobalAveragePool LpPool GlobalLpPool "
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd Cast CastLike Resize Upsample Pad Pow "
    "LeakyRelu PRelu Elu HardSwish Swish Gelu Mish Selu Ceil Floor Round DequantizeLinear"
)
_KEEPS_LATTICE = MOVES | {"Relu"}
_TAKES_INTEGERS = {
    ("", "DequantizeLinear"),
    ("", "MatMulInteger"),
    ("", "ConvInteger"),
    (MICROSOFT, "DequantizeLinear"),
    (MICROSOFT, "QGemm"),
    (MICROSOFT, "MatMulIntegerToFloat"),
}
_KEEPS_SCALE = _names("Cast Reshape Transpose Flatten Squeeze Unsqueeze Identity")


def takes_as_is(call: Call) -> bool:
    """Whether an operator's function copes with integers that stand for real numbers."""
    if (call.domain, call.op) in _TAKES_INTEGERS or call.op.startswith("QLinear"):
        return True
    if call.op == "Mul" and any(value.is_scale for value in call.inputs):
        return all(value.grid is None for value in call.inputs)
    if any(value.times_scale for value in call.inputs):
        return call.op in _KEEPS_SCALE
    return call.op in MOVES and _common_grid(call) is not None


def follow(call: Call, value: Value) -> None:
    """Note what follows for a result from what is known of the inputs."""
    numbers = [v for v in call.inputs if v.known or v.floating]
    if call.get("mode") == "cubic":  # overshoots
        return
    value.nonnegative = (
        value.nonnegative
        or call.op in _NONNEGATIVE
        or (call.op in _NONNEGATIVE_OF_NONNEGATIVE and all(_nonnegative(v) for v in numbers))
    )
    if value.grid is None and call.op in MOVES:
        value.grid = _common_grid(call)
    if value.lattice is None and call.op in _KEEPS_LATTICE:
        lattices = [v.lattice for v in _data(call)]
        if all(a is not None and a.one_scale and a.equals(lattices[0]) for a in lattices):
            value.lattice = lattices[0]
    if value.times_scale is None and call.op in _KEEPS_SCALE and value.node is not None:
        value.times_scale = call[0].times_scale


def _nonnegative(value: Value) -> bool:
    if value.known:
        return value.array.dtype.kind in "iufb" and bool(np.all(value.array >= 0))
    return value.nonnegative


def _data(call: Call) -> list[Value]:
    return call.inputs if call.op == "Concat" else [call[0]]


def _common_grid(call: Call) -> Grid | Scale | None:
    grids = [value.grid for value in _data(call)]
    first = grids[0]
    if isinstance(first, Grid) and first.one_scale:
        if all(isinstance(grid, Grid) and first.equals(grid) for grid in grids):
            return first
    elif isinstance(first, Scale) and len(grids) == 1:
        return first
    return None
