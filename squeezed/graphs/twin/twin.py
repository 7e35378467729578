"""From an ONNX file to its twin."""

from pathlib import Path

import onnx
import onnx.inliner
from onnx import TensorProto
from torch import fx

from squeezed.foundation.errors import UserError, first_line
from squeezed.graphs.twin import (  # noqa: F401  (they register their operators)
    activations,
    attention,
    dynamic,
    elementwise,
    fused,
    indexing,
    integers,
    layers,
    norms,
    parts,
    pooling,
    quantized,
    resize,
    shapes,
    without_gradient,
)
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import HANDLERS

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}

Input = tuple[str, tuple[int, ...], tuple[int, ...]]


def load_twin(path: str | Path) -> fx.GraphModule:
    """Return the twin of an ONNX file; see `build_twin`.

    Raises:
        UserError: if it is no ONNX file, or as `build_twin`.
    """
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's and the file system's own exceptions
        raise UserError(f"{path} cannot be read as an ONNX file ({first_line(error)})") from error
    return build_twin(model)


def build_twin(model: onnx.ModelProto) -> fx.GraphModule:
    """Return an ONNX graph as a differentiable module of ordinary layers.

    It maps the graph's images, float32 (n, C, H, W) for any n, to its output. It is in evaluation
    mode, on the CPU, its weights are float32 parameters. See docs/twin.md.

    Raises:
        UserError: if the graph has operators that the twin does not know, another number of inputs
            than one, or an image size that is left open.
    """
    model = _inlined(model)
    unknown = unsupported_operators(model)
    if unknown:
        raise UserError(f"the twin knows no {'; '.join(unknown)}")
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise UserError(f"the twin needs a graph with one input, the images; this one has {names}")
    images = inputs[0].type.tensor_type
    if images.elem_type not in FLOATS:
        kind = TensorProto.DataType.Name(images.elem_type).lower()
        raise UserError(f"the graph's images {inputs[0].name!r} are {kind}; the twin needs float")
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in images.shape.dim]
    if not sizes or None in sizes[1:]:
        raise UserError(
            f"the graph leaves the size of its images {inputs[0].name!r} open; fix all but the "
            "batch size, for example with onnxruntime.tools.make_dynamic_shape_fixed"
        )
    rest = tuple(size for size in sizes[1:] if size is not None)
    batch = sizes[0]
    first, second = (2, 3) if batch is None else (batch, batch + 1)
    builder = Builder(model, relaxed=batch is not None)
    return builder.build([(inputs[0].name, (first, *rest), (second, *rest))])


def build_for_fixed_shapes(model: onnx.ModelProto) -> fx.GraphModule:
    """Return the twin of a graph with any inputs, whose shapes stay as the file has them.

    Raises:
        UserError: if the graph has operators that the twin does not know.
    """
    model = _inlined(model)
    unknown = unsupported_operators(model)
    if unknown:
        raise UserError(f"the twin knows no {'; '.join(unknown)}")
    known = {tensor.name for tensor in model.graph.initializer}
    inputs: list[Input] = []
    for value in model.graph.input:
        if value.name not in known:
            shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            inputs.append((value.name, shape, shape))
    return Builder(model, relaxed=False).build(inputs)


def unsupported_operators(model: onnx.ModelProto) -> list[str]:
    """Return the operators that the twin does not know, each once, with the node that has it first.

    What does not depend on the images is computed once, and may have any operator of ONNX.
    """
    graph = _inlined(model).graph
    known = {tensor.name for tensor in graph.initializer}
    unknown: dict[tuple[str, str], str] = {}
    for node in graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        inputs = [name for name in node.input if name]
        constant = all(name in known for name in inputs)
        shape = domain == "" and node.op_type in ("Shape", "Size")
        branch = domain == "" and node.op_type == "If" and constant
        if (constant and domain == "" and node.op_type not in ("Loop", "Scan", "If")) or shape:
            known.update(node.output)
        elif not branch and (domain, node.op_type) not in HANDLERS:
            foldable = domain == "com.microsoft" and node.op_type.endswith("quantizeLinear")
            if constant and foldable:
                known.update(node.output)
            else:
                name = f"{domain}.{node.op_type}" if domain else node.op_type
                unknown.setdefault(
                    (domain, node.op_type), f"{name} (node {node.name or node.output[0]})"
                )
    return list(unknown.values())


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without functions of its own."""
    return onnx.inliner.inline_local_functions(model) if model.functions else model
