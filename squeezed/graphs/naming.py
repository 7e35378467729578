"""Name the nodes of an exported graph by the modules of its network, and its values by the nodes.

PyTorch's exporter counts nodes (`node_Conv_293`); which module each comes from stands in its
metadata and in the names of its weights.
"""

import ast
from collections.abc import Iterable

import onnx

from squeezed.graphs.weighted_nodes import AVERAGES

SCOPES = "pkg.torch.onnx.name_scopes"
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
NETWORK = "network"
"""The module of a `Classifier` that the layers are in; not part of their names."""


def name_by_modules(model: onnx.ModelProto) -> None:
    """Rename nodes, values and constants in place, and take out the nodes' metadata.

    A layer with weights has its module's path (`layer1.0.conv1`), and so has a module's one kind of
    node; any other node its module's path and its operator (`layer1.0.add`). What would have the
    same name gets a number. A value has the name of its node; a constant, the path of its parameter
    or the name of the node that reads it.
    """
    graph = model.graph
    parameters = {c.name for c in graph.initializer if "." in c.name and "/" not in c.name}
    # What the exporter calls the bias that a batch norm leaves in its convolution.
    parameters -= {f"{name}_bias" for name in parameters}
    scopes = [_module_path(node, parameters) for node in graph.node]
    containers = _containers(scopes)
    operators: dict[str, set[str]] = {}
    for node, scope in zip(graph.node, scopes, strict=True):
        operators.setdefault(scope, set()).add(node.op_type)
    fixed = {value.name: value.name for value in (*graph.input, *graph.output)}
    taken = set(fixed.values())
    renamed = dict(fixed)
    for name in sorted(parameters):
        renamed[name] = _unused(name.removeprefix(f"{NETWORK}."), taken)
    for node, scope in zip(graph.node, scopes, strict=True):
        averaging = "adaptive_avg_pool2d" in _last_scope(node)
        alone = scope not in containers and len(operators[scope]) == 1
        if scope and (alone or (node.op_type in WEIGHTED and not averaging)):
            name = scope
        else:
            name = ".".join(filter(None, [scope, node.op_type.lower()]))
        node.name = _unused(name, taken)
        for index, output in enumerate(node.output):
            if output and output not in renamed:
                renamed[output] = (
                    node.name if index == 0 else _unused(f"{node.name}.{index}", taken)
                )
        for index, value in enumerate(node.input):
            if value and value not in renamed:  # values are named before they are read
                kind = AVERAGES if averaging else _constant_kind(node, index)
                renamed[value] = _unused(f"{scope or node.name}.{kind}", taken)
        node.ClearField("doc_string")
        del node.metadata_props[:]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    read = {name for node in graph.node for name in node.input}
    constants = sorted(
        (c for c in graph.initializer if renamed.get(c.name) in read), key=lambda c: renamed[c.name]
    )
    for constant in constants:
        constant.name = renamed[constant.name]
    kept = [onnx.TensorProto.FromString(c.SerializeToString()) for c in constants]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(kept)


def _scopes(node: onnx.NodeProto) -> list[str]:
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            return [str(scope) for scope in ast.literal_eval(entry.value)]
    return []


def _last_scope(node: onnx.NodeProto) -> str:
    return next(iter(reversed(_scopes(node))), "")


def _module_path(node: onnx.NodeProto, parameters: set[str]) -> str:
    """Return the path of the module that a node comes from, without the network's own name.

    A convolution that a batch norm was folded into carries the batch norm's scope: its weights say
    better where it comes from.
    """
    if node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in parameters:
        path = node.input[1].rpartition(".")[0]
    else:
        modules = _scopes(node)[:-1]  # the last one is the function that was called
        path = modules[-1] if modules else ""
    return path.removeprefix(NETWORK).removeprefix(".")


def _containers(scopes: Iterable[str]) -> set[str]:
    """Return the paths that hold modules with nodes of their own."""
    found = set()
    for scope in scopes:
        parts = scope.split(".")
        found |= {".".join(parts[:length]) for length in range(1, len(parts))}
    return found


def _constant_kind(node: onnx.NodeProto, index: int) -> str:
    if node.op_type in WEIGHTED:
        return {1: "weight", 2: "bias"}.get(index, "constant")
    if node.op_type == "BatchNormalization":
        return ["", "weight", "bias", "running_mean", "running_var"][index]
    return {"Add": "bias", "Reshape": "shape"}.get(node.op_type, "constant")


def _unused(name: str, taken: set[str]) -> str:
    """Return `name`, or with the first number that makes it new, and take it."""
    unused, count = name, 0
    while unused in taken:
        count += 1
        unused = f"{name}_{count}"
    taken.add(unused)
    return unused
