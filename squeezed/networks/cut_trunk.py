"""Cut the end of a network's trunk off, whatever it is built of, by its graph of calls.

Where all convolutions stand in one sequence, `squeezed.networks.cut_sequence` does it as the paper
says. Elsewhere there is no "last convolution": a residual addition or a concatenation joins
several. What can be cut is between two *bottlenecks*, activations that all paths from the images to
the logits go through: the block between the last two that has layers with weights in it. The
pooling after it stays, and so does the head, reshaped where its inputs are others.
"""

from dataclasses import dataclass

import torch
from torch import fx, nn

from squeezed.foundation.errors import UserError, first_line
from squeezed.networks.resnet_cifar import ZeroPadShortcut
from squeezed.networks.surgery import replace_module

WEIGHTED = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)
HEADS = (nn.Linear, nn.Conv2d)
# What belongs to a block that is cut, where it follows it: as in Algorithm 2, pooling does not.
FOLLOWERS = (
    nn.BatchNorm2d,
    nn.Identity,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.SiLU,
    nn.Hardswish,
    nn.GELU,
)


@dataclass(frozen=True)
class Cut:
    """A network without the end of its trunk."""

    network: nn.Module
    after: str
    """The activation that is the trunk's end now."""
    head: list[str]
    """The names of the layers that follow."""
    reshaped: str | None
    """The layer of the head that was replaced by one with other inputs, and random weights."""


def cut_last_block(network: nn.Module, image_size: tuple[int, int]) -> Cut:
    """Cut the last block of the trunk; see `cut_after`."""
    trunk = _Trunk(network)
    return _cut(trunk, trunk.before_last_block(), image_size)


def cut_after(network: nn.Module, activation: str, image_size: tuple[int, int]) -> Cut:
    """Cut everything between an activation and the pooling (or whatever the head begins with).

    Args:
        network: left as it is, but the layers that stay are shared with the result.
        activation: the name of a node, as in
            `torchvision.models.feature_extraction.get_graph_node_names`, that all paths go through.
        image_size: height and width of the network's images.

    Raises:
        UserError: if torch.fx cannot follow the network, it has no such activation, nothing could
            be cut there, or what follows does not take it.
    """
    trunk = _Trunk(network)
    return _cut(trunk, trunk.bottleneck(activation), image_size)


class _Trunk:
    """The graph of a network's calls, and its bottlenecks from the images to the logits."""

    def __init__(self, network: nn.Module) -> None:
        from torchvision.models.feature_extraction import NodePathTracer

        self.network = network
        self.kind = type(network).__name__
        tracer = NodePathTracer(leaf_modules=_leaves())
        training = network.training
        try:
            self.graph = tracer.trace(network.eval())
        except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{self.kind} cannot be ablated: torch.fx cannot follow its forward pass "
                f"({first_line(error)})"
            ) from error
        finally:
            network.train(training)
        self.names = dict(tracer.node_to_qualname)
        self.modules = dict(network.named_modules())
        self.order = {node: place for place, node in enumerate(self.graph.nodes)}
        self.bottlenecks = self._bottlenecks()
        self.head_start = self._head_start()

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls."""
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def _bottlenecks(self) -> list[fx.Node]:
        """Return the nodes that every path from the images to the logits goes through, in order.

        Counted at each node: values that are computed by then and read later. Where there is one
        alone, it is a bottleneck. (What does not depend on the images does not count.)
        """
        images = next(node for node in self.graph.nodes if node.op == "placeholder")
        reached = {images}
        for node in self.graph.nodes:
            if reached & set(node.all_input_nodes):
                reached.add(node)
        found, alive = [], set[fx.Node]()
        for node in self.graph.nodes:
            if node not in reached or node.op == "output":
                continue
            alive.add(node)
            place = self.order[node]
            alive = {
                each
                for each in alive
                if any(user in reached and self.order[user] > place for user in each.users)
            }
            if alive == {node}:
                found.append(node)
        return found

    def _head_start(self) -> int:
        """Return the place, among the bottlenecks, of the last one before the head.

        The head begins with the last layer, or with the first of several fully connected ones at
        the end; the pooling and flattening before it belong to it.
        """
        layers = [
            place
            for place, node in enumerate(self.bottlenecks)
            if isinstance(self.module(node), HEADS)
        ]
        if not layers:
            raise UserError(f"{self.kind} cannot be ablated: it has no layer to train at its end")
        first = layers.pop()
        while (
            layers
            and isinstance(self.module(self.bottlenecks[layers[-1]]), nn.Linear)
            and not self._between(layers[-1], first)
        ):
            first = layers.pop()
        return first

    def _between(self, start: int, end: int) -> bool:
        """Tell whether there are layers with weights between two bottlenecks, at any depth."""
        low, high = self.order[self.bottlenecks[start]], self.order[self.bottlenecks[end]]
        return any(
            low < place < high and isinstance(self.module(node), WEIGHTED)
            for node, place in self.order.items()
        )

    def last_block(self) -> tuple[int, int]:
        """Return the places of the bottlenecks before and at the end of the trunk's last block."""
        for end in range(self.head_start - 1, 0, -1):
            low, high = self.order[self.bottlenecks[end - 1]], self.order[self.bottlenecks[end]]
            if any(
                low < place <= high and isinstance(self.module(node), WEIGHTED)
                for node, place in self.order.items()
            ):
                return end - 1, end
        raise UserError(f"{self.kind} cannot be ablated: its trunk has no block to cut")

    def end(self) -> fx.Node:
        """Return the trunk's end: its last block, with the norms and activations after it."""
        _, place = self.last_block()
        while place + 1 < self.head_start and isinstance(
            self.module(self.bottlenecks[place + 1]), FOLLOWERS
        ):
            place += 1
        return self.bottlenecks[place]

    def before_last_block(self) -> fx.Node:
        """Return the activation that the trunk's last block begins after.

        A block is a module of a class of its own (a residual block, an Inception module): it goes
        as a whole, also where there is a bottleneck inside of it.
        """
        before, end = self.last_block()
        last = self.bottlenecks[end]
        low = self.order[self.bottlenecks[before]]
        weighted = [
            node
            for node, place in self.order.items()
            if low < place <= self.order[last] and isinstance(self.module(node), WEIGHTED)
        ]
        block = self._block_of(str(weighted[-1].target))
        if block:
            inside = [
                place
                for node, place in self.order.items()
                if f"{self.names.get(node, '')}.".startswith(f"{block}.")
            ]
            low = min(low, min(inside) - 1)
        places = [node for node in self.bottlenecks if self.order[node] <= low]
        if len(places) < 2:  # the images themselves are the first
            raise UserError(
                f"{self.kind} cannot be ablated: it has a single block of layers; leave the "
                "variant out"
            )
        return places[-1]

    def _block_of(self, layer: str) -> str | None:
        """Return the innermost module around a layer that is no mere sequence."""
        name = layer.rpartition(".")[0]
        while name:
            module = self.modules[name]
            if not isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
                return name
            name = name.rpartition(".")[0]
        return None

    def bottleneck(self, name: str) -> fx.Node:
        """Return the bottleneck of a name, before the trunk's end."""
        end = self.order[self.end()]
        possible = {
            self.names[node]: node
            for node in self.bottlenecks[1:]
            if node in self.names and self.order[node] < end
        }
        if name not in possible:
            raise UserError(
                f"{self.kind} cannot be cut after {name!r}; `cut_after` can be one of "
                f"{', '.join(possible)}"
            )
        return possible[name]


def _leaves() -> list[type[nn.Module]]:
    """Return the modules that are one step, as those of torch.nn are."""
    from torchvision import ops

    kinds = [kind for kind in vars(ops).values() if isinstance(kind, type)]
    # Sequences of layers are none: their layers are seen.
    return [
        *(k for k in kinds if issubclass(k, nn.Module) and not issubclass(k, nn.Sequential)),
        ZeroPadShortcut,
    ]


def _cut(trunk: _Trunk, after: fx.Node, image_size: tuple[int, int]) -> Cut:
    head = [
        str(node.target)
        for node in trunk.bottlenecks[trunk.head_start :]
        if isinstance(trunk.module(node), HEADS)
    ]
    trunk.end().replace_all_uses_with(after)
    _erase_unused(trunk.graph)
    network = fx.GraphModule(trunk.network, trunk.graph, class_name=trunk.kind)
    reshaped = _reshape(network, head[0], trunk.names[after], image_size)
    return Cut(network, trunk.names[after], head, reshaped)


def _erase_unused(graph: fx.Graph) -> None:
    """Erase all that the output does not depend on; also assertions, which torch.fx would keep."""
    output = next(node for node in graph.nodes if node.op == "output")
    needed, pending = {output}, [output]
    while pending:
        for node in pending.pop().all_input_nodes:
            if node not in needed:
                needed.add(node)
                pending.append(node)
    for node in reversed(list(graph.nodes)):
        if node not in needed and node.op != "placeholder":
            graph.erase_node(node)


def _reshape(network: nn.Module, name: str, after: str, image_size: tuple[int, int]) -> str | None:
    """Give the head's first layer as many inputs as reach it; say if that are others."""
    layer = network.get_submodule(name)
    found = _inputs_of(network, layer, after, image_size)
    if isinstance(layer, nn.Linear):
        if found[-1] == layer.in_features:
            return None
        new: nn.Module = nn.Linear(found[-1], layer.out_features, bias=layer.bias is not None)
    else:
        assert isinstance(layer, nn.Conv2d)
        if found[1] == layer.in_channels:
            return None
        if layer.kernel_size != (1, 1):
            raise UserError(
                f"{type(network).__name__} cannot be cut after {after}: its head, {name}, is a "
                "convolution of more than one pixel"
            )
        # Of one pixel, as in SqueezeNet: a head that looks further is not known.
        new = nn.Conv2d(found[1], layer.out_channels, 1, bias=layer.bias is not None)
    replace_module(network, name, new)
    return name


def _inputs_of(
    network: nn.Module, layer: nn.Module, after: str, image_size: tuple[int, int]
) -> torch.Size:
    """Return the shape of what reaches a layer, for one image."""
    shapes = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))
    training = network.training
    reason = "it is never reached"
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, *image_size))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = first_line(error)  # also where the layer itself refuses other inputs
    finally:
        hook.remove()
        network.train(training)
    if not shapes:
        raise UserError(
            f"{type(network).__name__} cannot be cut after {after}: what follows does not take it "
            f"({reason})"
        )
    return shapes[0]
