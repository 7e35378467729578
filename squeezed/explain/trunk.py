"""A twin seen as a trunk: the nodes that everything from the images to the logits passes through.

Where a network branches (a shortcut, an inception block) the branches are no part of the trunk, and
the addition or concatenation that joins them is.
"""

import operator
from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import fx, nn

from squeezed.graphs.twin.pooling import LpPool, UnevenAveragePool
from squeezed.graphs.twin.rounding import DynamicFakeQuantize, FakeQuantize

POOLS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    UnevenAveragePool,
    LpPool,
)
ROUNDINGS = (FakeQuantize, DynamicFakeQuantize)
WITHOUT_EFFECT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
CHANNELS_FIRST = (*POOLS, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)
"""Modules that read and give (n, C, h, w)."""
PERMUTATIONS = (torch.permute, "permute")
MEANS = (torch.mean, "mean", torch.amax, torch.sum)


class Trunk:
    """The order of a twin's nodes, which of them form the trunk, and what each holds."""

    def __init__(self, twin: fx.GraphModule) -> None:
        """Look at a twin, whose nodes carry their shapes in `meta["shape"]`."""
        self.twin = twin
        self.order = self._on_the_way()
        self.place = {node: place for place, node in enumerate(self.order)}
        self.trunk = list(self._unavoidable())
        self._first: dict[fx.Node, bool] = {}

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls, if it calls one."""
        if node.op != "call_module":
            return None
        return self.twin.get_submodule(str(node.target))

    def shape(self, node: fx.Node) -> tuple[int | None, ...]:
        """Return the shape of what a node gives, None for the number of images; () if unknown."""
        return tuple(node.meta.get("shape", ()))

    def weighs(self, node: fx.Node) -> bool:
        """Return whether a node is a convolution or a fully connected layer."""
        return weight_of(self.twin, node) is not None

    def is_map(self, node: fx.Node) -> bool:
        """Return whether a node holds activation maps (n, C, h, w) of more than one place."""
        shape = self.shape(node)
        if len(shape) != 4 or shape[2] is None or shape[3] is None:
            return False
        return shape[2] * shape[3] > 1 and self._channels_first(node)

    def is_activation(self, node: fx.Node) -> bool:
        """Return whether a node computes something new, not only rounds, pools or hands on."""
        module = self.module(node)
        return not isinstance(module, (*ROUNDINGS, *WITHOUT_EFFECT, *POOLS))

    def before_rounding(self, node: fx.Node) -> fx.Node:
        """Return the node whose values a node hands on, rounded or as they are."""
        while isinstance(self.module(node), (*ROUNDINGS, *WITHOUT_EFFECT)):
            (source,) = node.all_input_nodes
            node = source
        return node

    def weighted_nodes(self) -> list[fx.Node]:
        """Return the convolutions and fully connected layers in the order in which they run."""
        return [node for node in self.order if self.weighs(node)]

    def _on_the_way(self) -> list[fx.Node]:
        """Return the nodes that depend on the images and that the logits depend on, in order."""
        images = next(node for node in self.twin.graph.nodes if node.op == "placeholder")
        (output,) = (node for node in self.twin.graph.nodes if node.op == "output")
        dependent, needed = {images}, {output}
        for node in self.twin.graph.nodes:
            if any(source in dependent for source in node.all_input_nodes):
                dependent.add(node)
        for node in reversed(self.twin.graph.nodes):
            if any(user in needed for user in node.users):
                needed.add(node)
        return [
            node
            for node in self.twin.graph.nodes
            if node in dependent and node in needed and node is not output
        ]

    def _unavoidable(self) -> Iterator[fx.Node]:
        """Yield the nodes that no way from the images to the logits leads around."""
        farthest = 0
        for place, node in enumerate(self.order):
            if farthest <= place:
                yield node
            readers = [self.place[user] for user in node.users if user in self.place]
            farthest = max([farthest, *readers])

    def _channels_first(self, node: fx.Node) -> bool:
        """Return whether a node's second axis is that of the channels."""
        if node not in self._first:
            self._first[node] = self._find_channels_first(node)
        return self._first[node]

    def _find_channels_first(self, node: fx.Node) -> bool:
        if isinstance(self.module(node), CHANNELS_FIRST):
            return True
        if any(self._reads_channels_first(user) for user in node.users):
            return True
        sources = [
            source
            for source in node.all_input_nodes
            if source in self.place and len(self.shape(source)) == 4
        ]
        if not sources:
            return node.op == "placeholder"
        first = self._channels_first(sources[0])
        if node.target in PERMUTATIONS:
            given = node.args[1:] if isinstance(node.args[1], int) else node.args[1]
            axes = tuple(cast("Iterable[int]", given))
            return axes == ((0, 1, 2, 3) if first else (0, 3, 1, 2))
        same = any(self.shape(source) == self.shape(node) for source in sources)
        return first and (same or node.target is torch.cat or node.op == "call_module")

    def _reads_channels_first(self, reader: fx.Node) -> bool:
        if isinstance(self.module(reader), CHANNELS_FIRST):
            return True
        axes = reader.args[1] if len(reader.args) > 1 else reader.kwargs.get("dim")
        if reader.target not in MEANS or not isinstance(axes, list | tuple):
            return False
        return sorted(axis % 4 for axis in axes if isinstance(axis, int)) == [2, 3]


def weight_of(twin: fx.GraphModule, node: fx.Node) -> torch.Tensor | None:
    """Return the weight of the convolution or fully connected layer that a node is, or None."""
    if node.op == "call_module":
        module = twin.get_submodule(str(node.target))
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
            return module.weight
    if node.target in (torch.matmul, operator.matmul, nn.functional.linear):
        for source in node.all_input_nodes:
            if source.op == "get_attr":
                weight = _attribute(twin, str(source.target))
                if isinstance(weight, torch.Tensor) and weight.dim() == 2:
                    return weight
    return None


def _attribute(twin: nn.Module, path: str) -> object:
    found: object = twin
    for part in path.split("."):
        found = getattr(found, part)
    return found
