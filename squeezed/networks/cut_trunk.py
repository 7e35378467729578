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
from squeezed.networks.surgery import replace_module
from squeezed.networks.trunk import HEADS, Trunk


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


def cut_last_blocks(network: nn.Module, count: int, image_size: tuple[int, int]) -> Cut:
    """Cut the last blocks of the trunk; see `cut_after`."""
    trunk = Trunk(network, image_size)
    return _cut(trunk, trunk.before_last_blocks(count), image_size)


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
    trunk = Trunk(network, image_size)
    return _cut(trunk, trunk.bottleneck(activation), image_size)


def _cut(trunk: Trunk, after: fx.Node, image_size: tuple[int, int]) -> Cut:
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
