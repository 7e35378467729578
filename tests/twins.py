"""Twins of networks, made as the workflow makes them, and roundings put into them by hand."""

import copy
from collections.abc import Mapping

import torch
from torch import fx, nn

from squeezed.graphs.export import export_network
from squeezed.graphs.twin import build_twin
from squeezed.graphs.twin.rounding import FakeQuantize
from squeezed.networks import Classifier


def twin_of(model: Classifier, image_size: tuple[int, int]) -> fx.GraphModule:
    """Export a classifier for images of this height and width, and return the graph's twin."""
    return build_twin(export_network(model, image_size))


def rounding(scale: float, zero_point: int = 0) -> FakeQuantize:
    """Round to the 256 numbers (q − zero_point) · scale."""
    return FakeQuantize(torch.tensor(scale), torch.tensor(float(zero_point)), 0, 255)


def with_modules_behind(twin: fx.GraphModule, modules: Mapping[str, nn.Module]) -> fx.GraphModule:
    """Return a copy of a twin with a module behind each of these nodes, by the nodes' names."""
    twin = copy.deepcopy(twin)
    nodes = {node.name: node for node in twin.graph.nodes}
    for name, module in modules.items():
        twin.add_submodule(f"behind_{name}", module)
        with twin.graph.inserting_after(nodes[name]):
            behind = twin.graph.call_module(f"behind_{name}", (nodes[name],))
        behind.meta["shape"] = nodes[name].meta["shape"]
        nodes[name].replace_all_uses_with(behind, lambda user, own=behind: user is not own)
    twin.recompile()
    return twin
