"""Which pixels a network's decision rests on: guided backpropagation and Grad-CAM, with captum."""

import copy
import math
import warnings
from collections.abc import Iterator

import torch
from captum.attr import GuidedBackprop, LayerAttribution, LayerGradCam
from torch import Tensor, fx, nn

from squeezed.explain.layers import map_layer
from squeezed.foundation.errors import UserError

METHODS = ("guided_backprop", "grad_cam")
CLAMPS = (torch.clamp, torch.clip, "clamp", "clip")


def unavailable(twin: fx.GraphModule, method: str, layer: str | None = None) -> str | None:
    """Return why a method has no map of a network, in a sentence, or None where it has.

    Args:
        twin: the network.
        method: one of `METHODS`.
        layer: the layer that Grad-CAM is told to weigh, None for the trunk's last map.
    """
    if method == "guided_backprop":
        if next(_rectifiers(twin), None) is None:
            return (
                "guided_backprop needs ReLUs, and the network has none: leave it out of cam.methods"
            )
        return None
    if method == "grad_cam":
        try:
            map_layer(twin, layer)
        except UserError as error:
            return str(error)
        return None
    return f"cam.methods names {method!r}; choose from {', '.join(METHODS)}"


class Attributor:
    """Makes maps of one network with one method."""

    def __init__(self, twin: fx.GraphModule, method: str, layer: str | None = None) -> None:
        """Prepare a copy of `twin`; the twin itself keeps no hook.

        Args:
            twin: in evaluation mode; a quantized one passes gradients straight through.
            method: one of `METHODS`.
            layer: the layer that Grad-CAM weighs, instead of the trunk's last map.

        Raises:
            UserError: if there is no such method or layer, or the network has no map of it
                (`unavailable`).
        """
        reason = unavailable(twin, method, layer)
        if reason is not None:
            raise UserError(reason)
        self._method = method
        hookable = copy.deepcopy(twin).eval().requires_grad_(False)
        if method == "guided_backprop":
            _rectify_by_modules(hookable)
            self._captum = GuidedBackprop(hookable)
        else:
            tap = _insert_tap(hookable, map_layer(twin, layer).node)
            self._captum = LayerGradCam(hookable, tap)

    def maps(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return how much each pixel speaks for a class, shape (n, H, W), at least 0, no unit.

        Guided backpropagation: the largest positive gradient of the colour channels. Grad-CAM:
        the layer's channels, weighed by their mean gradients, rectified and enlarged (bilinear).

        Args:
            images: shape (n, C, H, W), in [0, 1].
            targets: the class to explain of each image, shape (n,).
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # captum announces its hooks at every call
            if self._method == "guided_backprop":
                gradients = self._captum.attribute(images.detach().clone(), target=targets)
                return gradients.clamp(min=0).amax(dim=1).detach()
            coarse = self._captum.attribute(
                images.detach().clone(), target=targets, relu_attributions=True
            )
        size = (int(images.shape[2]), int(images.shape[3]))
        enlarged: Tensor = LayerAttribution.interpolate(coarse, size, "bilinear")
        return enlarged[:, 0].detach()


@torch.no_grad()
def predictions(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the predicted class of each image and its probability, both of shape (n,)."""
    confidence, predicted = model(images).softmax(dim=1).max(dim=1)
    return predicted, confidence


def _rectifiers(twin: fx.GraphModule) -> Iterator[tuple[fx.Node, float]]:
    """Yield the nodes that clamp at zero from below, and what they clamp at from above."""
    for node in twin.graph.nodes:
        if node.op == "call_module":
            module = twin.get_submodule(str(node.target))
            if isinstance(module, nn.ReLU):
                yield node, math.inf
            elif isinstance(module, nn.Hardtanh) and module.min_val == 0:  # nn.ReLU6 is one
                yield node, module.max_val
        elif node.target in CLAMPS:
            low, high = ([*node.args[1:], None, None])[:2]
            low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
            if low == 0 and (high is None or isinstance(high, int | float)):
                yield node, math.inf if high is None else float(high)


def _rectify_by_modules(twin: fx.GraphModule) -> None:
    """Give each node that clamps at zero an `nn.ReLU` of its own, which captum's hooks look for.

    What is clamped from above too (ReLU6) is clamped there afterwards: the same function.
    """
    for number, (node, high) in enumerate(list(_rectifiers(twin))):
        twin.add_submodule(f"rectifier_{number}", nn.ReLU())
        with twin.graph.inserting_before(node):
            rectified = twin.graph.call_module(f"rectifier_{number}", (node.args[0],))
            if high < math.inf:
                rectified = twin.graph.call_function(torch.clamp, (rectified,), {"max": high})
        node.replace_all_uses_with(rectified)
        twin.graph.erase_node(node)
    twin.delete_all_unused_submodules()
    twin.recompile()


def _insert_tap(twin: fx.GraphModule, name: str) -> nn.Module:
    """Put a module that hands on behind a node, and return it: captum hooks modules, not nodes."""
    node = next(node for node in twin.graph.nodes if node.name == name)
    twin.add_submodule("tap", nn.Identity())
    with twin.graph.inserting_after(node):
        tap = twin.graph.call_module("tap", (node,))
    node.replace_all_uses_with(tap, lambda user: user is not tap)
    twin.recompile()
    return twin.get_submodule("tap")
