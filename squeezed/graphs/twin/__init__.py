"""The twin: an ONNX graph as a differentiable torch.fx.GraphModule of ordinary layers."""

from squeezed.graphs.twin.rounding import gradient_of_rounding, is_rounded
from squeezed.graphs.twin.twin import build_twin, load_twin, unsupported_operators

__all__ = [
    "build_twin",
    "gradient_of_rounding",
    "is_rounded",
    "load_twin",
    "unsupported_operators",
]
