"""The graph of a network's calls, and where it is as narrow as one activation."""

from typing import Any

import torch
from torch import fx, nn

from squeezed.foundation.errors import UserError, first_line
from squeezed.networks.resnet_cifar import ZeroPadShortcut

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


class Trunk:
    """The graph of a network's calls, and its bottlenecks from the images to the logits."""

    def __init__(self, network: nn.Module, image_size: tuple[int, int]) -> None:
        from torchvision.models.feature_extraction import NodePathTracer

        self.network = network
        self.kind = type(network).__name__
        tracer = NodePathTracer(leaf_modules=_leaves())
        training = network.training
        try:
            self.graph = tracer.trace(network.eval())
            self.dimensions = _Dimensions(network, self.graph).found(image_size)
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
            if alive == {node} and node in self.dimensions:
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

    def last_block(self, before: int) -> tuple[int, int]:
        """Return the places of the bottlenecks around the last block before a bottleneck."""
        for end in range(before - 1, 0, -1):
            low, high = self.order[self.bottlenecks[end - 1]], self.order[self.bottlenecks[end]]
            if any(
                low < place <= high and isinstance(self.module(node), WEIGHTED)
                for node, place in self.order.items()
            ):
                return end - 1, end
        raise UserError(f"{self.kind} cannot be ablated: its trunk has not so many blocks to cut")

    def end(self) -> fx.Node:
        """Return the trunk's end: that of its last block, with the norms and activations after."""
        before, place = self.last_block(self.head_start)
        block = self._block_between(before, place)
        while place + 1 < self.head_start and (
            self._is_inside(self.bottlenecks[place + 1], block)
            or isinstance(self.module(self.bottlenecks[place + 1]), FOLLOWERS)
        ):
            place += 1
        return self.bottlenecks[place]

    def before_last_blocks(self, count: int) -> fx.Node:
        """Return the activation that the last `count` blocks of the trunk begin after.

        A block is a module of a class of its own (a residual block, an Inception module): it goes
        as a whole, also where there is a bottleneck inside of it.
        """
        dimensions = self.dimensions[self.end()]
        place = self.head_start
        for _ in range(count):
            before, end = self.last_block(place)
            low = min(self.order[self.bottlenecks[before]], self._start_of_block(before, end) - 1)
            places = [
                k
                for k, node in enumerate(self.bottlenecks)
                if self.order[node] <= low and self.dimensions[node] == dimensions
            ]
            if not places or not places[-1]:  # the images themselves are the first
                raise UserError(
                    f"{self.kind} cannot be ablated: its trunk has not so many blocks to cut"
                )
            # The next block ends here.
            place = places[-1] + 1
        return self.bottlenecks[place - 1]

    def _start_of_block(self, before: int, end: int) -> int:
        """Return where the block of the last layer with weights between two bottlenecks begins."""
        block = self._block_between(before, end)
        places = [place for node, place in self.order.items() if self._is_inside(node, block)]
        return min(places, default=self.order[self.bottlenecks[end]])

    def _block_between(self, before: int, end: int) -> str | None:
        """Return the innermost module, but mere sequences, around the last layer between two."""
        low, high = self.order[self.bottlenecks[before]], self.order[self.bottlenecks[end]]
        *_, last = (
            str(node.target)
            for node, place in self.order.items()
            if low < place <= high and isinstance(self.module(node), WEIGHTED)
        )
        name = last.rpartition(".")[0]
        while name and isinstance(
            self.modules[name], nn.Sequential | nn.ModuleList | nn.ModuleDict
        ):
            name = name.rpartition(".")[0]
        return name or None

    def _is_inside(self, node: fx.Node, block: str | None) -> bool:
        return block is not None and self.names.get(node, "").startswith(f"{block}.")

    def bottleneck(self, name: str) -> fx.Node:
        """Return the bottleneck of a name, before the trunk's end."""
        end = self.order[self.end()]
        possible = {
            self.names[node]: node for node in self.bottlenecks[1:] if self.order[node] < end
        }
        if name not in possible:
            raise UserError(
                f"{self.kind} cannot be cut after {name!r}; `cut_after` can be one of "
                f"{', '.join(possible)}"
            )
        return possible[name]


class _Dimensions(fx.Interpreter):
    """Runs a graph on one image, and notes how many dimensions each tensor has."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__(network, graph=graph)
        self.dimensions: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor):
            self.dimensions[n] = value.dim()
        return value

    def found(self, image_size: tuple[int, int]) -> dict[fx.Node, int]:
        """Return the number of dimensions of each node that is a tensor."""
        with torch.no_grad():
            self.run(torch.zeros(1, 3, *image_size))
        return self.dimensions


def _leaves() -> list[type[nn.Module]]:
    """Return the modules that are one step, as those of torch.nn are."""
    from torchvision import ops

    kinds = [kind for kind in vars(ops).values() if isinstance(kind, type)]
    # Sequences of layers are none: their layers are seen.
    return [
        *(k for k in kinds if issubclass(k, nn.Module) and not issubclass(k, nn.Sequential)),
        ZeroPadShortcut,
    ]
