"""Which layer a feature or a map is read at, by the names of the graph, and reading it."""

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from squeezed.data.dataset import Split
from squeezed.explain.trunk import Trunk
from squeezed.foundation.errors import UserError
from squeezed.foundation.progress import track
from squeezed.graphs.twin.without_gradient import WithoutGradient

BATCH = 250
SHOWN_NAMES = 8


@dataclass(frozen=True)
class Layer:
    """Where something is read: what a node of a twin gives."""

    node: str
    """The node's name in the twin."""
    name: str
    """Its name in the graph, as `layer_names` lists it."""
    pooled: bool = False
    """Whether the mean over each map is meant instead of the map."""

    def __str__(self) -> str:
        """Return what a result calls it."""
        return f"mean of {self.name}" if self.pooled else self.name


def layer_names(twin: fx.GraphModule) -> list[str]:
    """Return the names of all layers that can be read, in the order in which they run.

    They are those of the graph's nodes: in a network's own graph the module's path (`features.0`),
    with the operation behind it where a module has several (`layer4.1.add`).
    """
    return list(_nodes_by_name(twin))


def feature_layer(twin: fx.GraphModule, name: str | None = None) -> Layer:
    """Choose the layer whose activations describe an image (Figure 2).

    By default what the second fully connected layer reads: the first one's activation. A network
    whose only fully connected layer gives the logits (a ResNet) is read before it; one that has
    none, because its last convolution gives the logits (a SqueezeNet), before that, averaged over
    each map. Of a file without a twin only its answers can be read. Only layers count that
    everything passes through, after the flattening.

    Args:
        twin: the network.
        name: a layer, such as `classifier.1`, instead of the default.

    Raises:
        UserError: if there is no such layer, or none to default to.
    """
    if name is not None:
        return _named_layer(twin, name, "embedding.layer")
    trunk = Trunk(twin)
    connected = _fully_connected(trunk)
    if connected:
        reader = connected[min(1, len(connected) - 1)]
        return _layer(twin, trunk.before_rounding(reader.all_input_nodes[0]))
    last = _last_convolution(trunk)
    if last is None and (whole := _without_gradient(twin)) is not None:
        return _layer(twin, whole)
    if last is None:
        raise UserError(
            "the network has no fully connected layer or convolution to read features at; "
            f"set embedding.layer to one of its layers ({_some_names(twin)})"
        )
    return _layer(twin, trunk.before_rounding(last.all_input_nodes[0]), pooled=True)


def _without_gradient(twin: fx.GraphModule) -> fx.Node | None:
    for node in twin.graph.nodes:
        if node.op == "call_module":
            module = twin.get_submodule(str(node.target))
            if isinstance(module, WithoutGradient):
                return node
    return None


def map_layer(twin: fx.GraphModule, name: str | None = None) -> Layer:
    """Choose the layer that Grad-CAM weighs: the last activation map of the trunk.

    That is the last one that everything passes through, after the addition or concatenation that
    joins the branches and after its ReLU, before what pools or flattens it. A last convolution
    that gives the classes themselves (a SqueezeNet's) is no longer the trunk.

    Args:
        twin: the network.
        name: a layer, such as `features.14`, instead of the default.

    Raises:
        UserError: if there is no such layer, it holds no map, or there is none to default to.
    """
    trunk = Trunk(twin)
    if name is not None:
        layer = _named_layer(twin, name, "cam.layer")
        node = next(node for node in twin.graph.nodes if node.name == layer.node)
        if not trunk.is_map(node):
            raise UserError(
                f"cam.layer is {name!r}, which gives {_shape_text(trunk.shape(node))} instead of "
                "activation maps (images, channels, height, width), which grad_cam weighs"
            )
        return layer
    connected = _fully_connected(trunk)
    end = connected[0] if connected else _last_convolution(trunk)
    last = len(trunk.order) if end is None else trunk.place[end]
    maps = [
        node
        for node in trunk.trunk
        if trunk.place[node] < last
        and node.op != "placeholder"
        and trunk.is_map(node)
        and trunk.is_activation(node)
    ]
    maps = [node for node in maps if _convolved(trunk, node)]
    mixers = [
        node
        for node in trunk.weighted_nodes()
        if maps
        and trunk.place[maps[-1]] < trunk.place[node] < last
        and not _is_convolution(trunk, node)
    ]
    if not maps or mixers:
        raise UserError(
            "the network ends in no activation map (images, channels, height, width), which "
            "grad_cam weighs; leave it out of cam.methods, or set cam.layer to a layer that has one"
        )
    return _layer(twin, maps[-1])


def probe(twin: fx.GraphModule, layer: Layer) -> fx.GraphModule:
    """Return a module that gives what a layer gives, beside the logits; it shares the weights."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    logits = graph.graph_copy(twin.graph, copies)
    read = next(copy for node, copy in copies.items() if node.name == layer.node)
    graph.output((read, logits))
    return fx.GraphModule(twin, graph)


@torch.no_grad()
def features_at(
    twin: fx.GraphModule, layer: Layer, batches: Iterable[Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch's features, shape (n, features), and logits, shape (n, classes).

    Args:
        twin: the network.
        layer: what to read; it is flattened.
        batches: images on the twin's device, each of shape (n, C, H, W), in [0, 1].
    """
    reading = probe(twin, layer)
    for images in batches:
        read, logits = reading(images)
        yield read.flatten(2).mean(dim=2) if layer.pooled else read.flatten(1), logits


def embed(
    twin: fx.GraphModule,
    layer: Layer,
    split: Split,
    indices: NDArray[np.integer],
    device: torch.device,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the features, shape (n, features), and the predicted classes, shape (n,), of images.

    Args:
        twin: the network, on `device`.
        layer: what to read.
        split: holds the images.
        indices: which of them, and in which order.
        device: to compute on.
    """
    batches = track(
        split.batches(BATCH, indices), "images embedded", total=math.ceil(len(indices) / BATCH)
    )
    on_device = (torch.from_numpy(images).to(device) for images, _ in batches)
    features, predictions = [], []
    for part, logits in features_at(twin, layer, on_device):
        features.append(part.float().cpu().numpy())
        predictions.append(logits.argmax(dim=1).cpu().numpy())
    return np.concatenate(features), np.concatenate(predictions)


def _fully_connected(trunk: Trunk) -> list[fx.Node]:
    """Return the fully connected layers of the trunk that read one vector of each image."""
    return [
        node
        for node in trunk.trunk
        if trunk.weighs(node) and not _is_convolution(trunk, node) and len(trunk.shape(node)) == 2
    ]


def _last_convolution(trunk: Trunk) -> fx.Node | None:
    found = [node for node in trunk.trunk if _is_convolution(trunk, node)]
    return found[-1] if found else None


def _is_convolution(trunk: Trunk, node: fx.Node) -> bool:
    return isinstance(trunk.module(node), nn.Conv2d | nn.ConvTranspose2d)


def _convolved(trunk: Trunk, node: fx.Node) -> bool:
    """Return whether a node comes after a convolution: before, it is the image itself."""
    return any(_is_convolution(trunk, other) for other in trunk.order[: trunk.place[node] + 1])


def _layer(twin: fx.GraphModule, node: fx.Node, pooled: bool = False) -> Layer:
    names = {found.name: name for name, found in _nodes_by_name(twin).items()}
    return Layer(node.name, names.get(node.name, node.name), pooled)


def _named_layer(twin: fx.GraphModule, name: str, key: str) -> Layer:
    nodes = _nodes_by_name(twin)
    if name in nodes:
        return Layer(nodes[name].name, name)
    for listed, node in nodes.items():
        if name in (node.name, node.target, node.meta.get("onnx_output")):
            return Layer(node.name, listed)
    near = difflib.get_close_matches(name, nodes, SHOWN_NAMES, cutoff=0.4)
    choices = f"near it are {', '.join(near)}" if near else f"it has {_some_names(twin)}"
    raise UserError(
        f"{key} is {name!r}, but the network has no such layer; {choices}; "
        "leave the key out for the usual one"
    )


def _nodes_by_name(twin: fx.GraphModule) -> dict[str, fx.Node]:
    """Return the nodes that compute, in order; the last of those that one ONNX node became."""
    named: dict[str, fx.Node] = {}
    for node in twin.graph.nodes:
        if node.op.startswith("call") and node.meta.get("shape"):
            named[node.meta.get("onnx_node") or node.name] = node
    return named


def _some_names(twin: fx.GraphModule) -> str:
    names = layer_names(twin)
    return ", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('n' if size is None else str(size) for size in shape)})"
