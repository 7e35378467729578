"""The same function in less time, for a twin that is evaluated and differentiated very often."""

import copy
import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn

from squeezed.attacks.fast_layers import ADJACENT, Cast, Centre, Flatten, ImageConvolution
from squeezed.graphs.twin.modules import Normalise
from squeezed.graphs.twin.rounding import FakeQuantize

VECTOR = 16
"""Numbers that a processor computes with together."""

ADDITIONS = {operator.add, torch.add, "add"}
CONCATENATIONS = {torch.cat, torch.concat}


def streamlined(twin: fx.GraphModule) -> fx.GraphModule:
    """Return a rearranged copy of a twin, for convolutions that are laid out channels-last.

    It computes the same logits and the same gradient of the images (which of several equal values
    in a pooling window gets its gradient aside), up to rounding.
    """
    twin = copy.deepcopy(twin)
    _pool_first(twin)
    _round_once(twin)
    _absorb_deviation(twin)
    for node, convolution in _calls(twin, nn.Conv2d):
        if convolution.in_channels * ADJACENT <= VECTOR and ImageConvolution.can_wrap(convolution):
            twin.set_submodule(str(node.target), ImageConvolution(convolution))
    for node, flatten in _calls(twin, nn.Flatten):
        twin.set_submodule(str(node.target), Flatten(flatten.start_dim, flatten.end_dim))
    _rectify_in_place(twin)
    return _finished(twin)


def in_bfloat16(twin: fx.GraphModule) -> fx.GraphModule:
    """Return a copy of a twin that computes in bfloat16 but for the centring of the images.

    Weights are cast once: autocast would cast them at each step.
    """
    twin = copy.deepcopy(twin)
    images = _images(twin)
    first = next(iter(images.users))
    leading = None
    if len(images.users) == 1 and _is_call(twin, first, Normalise, Centre):
        leading = copy.deepcopy(twin.get_submodule(str(first.target)))
    source = images if leading is None else first
    twin.bfloat16()
    if leading is not None:
        twin.set_submodule(str(first.target), leading)
    _insert(twin, source, "to_bfloat16", Cast(torch.bfloat16))
    (output,) = (node for node in twin.graph.nodes if node.op == "output")
    logits = output.args[0]
    assert isinstance(logits, fx.Node)
    _insert(twin, logits, "to_float32", Cast(torch.float32))
    return _finished(twin)


def _pool_first(twin: fx.GraphModule) -> None:
    """Let max pooling and what never turns two values' order around change places, in place.

    The largest value stays the largest, and so does its gradient, but a quarter of the values is
    left to look at.
    """
    for pool, module in _calls(twin, nn.MaxPool2d):
        before = pool.args[0]
        while (
            not module.return_indices
            and isinstance(before, fx.Node)
            and len(before.users) == 1
            and _keeps_order(twin, before)
        ):
            source = before.args[0]
            assert isinstance(source, fx.Node)
            pool.replace_all_uses_with(before)
            before.replace_input_with(source, pool)
            pool.replace_input_with(before, source)
            pool.append(before)
            before = source


def _keeps_order(twin: fx.GraphModule, node: fx.Node) -> bool:
    if _is_call(twin, node, FakeQuantize):
        module: Any = twin.get_submodule(str(node.target))
        return bool(module.scale.numel() == 1)
    return _is_call(twin, node, nn.ReLU, nn.ReLU6)


def _round_once(twin: fx.GraphModule) -> None:
    """Leave out a rounding to the steps that its input was rounded to before, in place.

    An engine's quantized pooling has them on both sides.
    """
    for node, module in _calls(twin, FakeQuantize):
        before = node.args[0]
        if not isinstance(before, fx.Node) or not _is_call(twin, before, FakeQuantize):
            continue
        other: Any = twin.get_submodule(str(before.target))
        if (
            torch.equal(module.scale, other.scale)
            and torch.equal(module.zero_point, other.zero_point)
            and (module.quant_min, module.quant_max) == (other.quant_min, other.quant_max)
        ):
            node.replace_all_uses_with(before)
            twin.graph.erase_node(node)


def _absorb_deviation(twin: fx.GraphModule) -> None:
    """Move the normalisation's division into the convolutions that alone read it, in place.

    The mean cannot follow it: they pad with zeros, which stand for the mean.
    """
    for node, normalise in _calls(twin, Normalise):
        readers = [user for user in node.users if _is_call(twin, user, nn.Conv2d)]
        convolutions: list[Any] = [twin.get_submodule(str(reader.target)) for reader in readers]
        if len(readers) < len(node.users) or any(layer.groups > 1 for layer in convolutions):
            continue
        with torch.no_grad():
            for convolution in convolutions:
                convolution.weight.div_(normalise.std)
        twin.set_submodule(str(node.target), Centre(normalise.mean))


def _rectify_in_place(twin: fx.GraphModule) -> None:
    """Let a ReLU write over its input where nobody else needs it, for a gradient neither."""
    for node, relu in _calls(twin, nn.ReLU, nn.ReLU6):
        before = node.args[0]
        relu.inplace = (
            isinstance(before, fx.Node)
            and len(before.users) == 1
            and (
                _is_call(twin, before, nn.Conv2d, ImageConvolution, nn.Linear, nn.MaxPool2d)
                or (before.op == "call_function" and before.target in ADDITIONS | CONCATENATIONS)
            )
        )


def _calls(twin: fx.GraphModule, *types: type[nn.Module]) -> Iterator[tuple[fx.Node, Any]]:
    """Yield the nodes that call a module of exactly one of these types, and the module."""
    for node in list(twin.graph.nodes):
        if _is_call(twin, node, *types):
            yield node, twin.get_submodule(str(node.target))


def _is_call(twin: fx.GraphModule, node: fx.Node, *types: type[nn.Module]) -> bool:
    return node.op == "call_module" and type(twin.get_submodule(str(node.target))) in types


def _images(twin: fx.GraphModule) -> fx.Node:
    (images,) = (node for node in twin.graph.nodes if node.op == "placeholder")
    return images


def _insert(twin: fx.GraphModule, source: fx.Node, name: str, module: nn.Module) -> None:
    """Insert a module behind a node, in place."""
    twin.add_submodule(name, module)
    with twin.graph.inserting_after(source):
        inserted = twin.graph.call_module(name, (source,))
    source.replace_all_uses_with(inserted, lambda user: user is not inserted)


def _finished(twin: fx.GraphModule) -> fx.GraphModule:
    twin.delete_all_unused_submodules()
    twin.graph.lint()
    twin.recompile()
    return twin
