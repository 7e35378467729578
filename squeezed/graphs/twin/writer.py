"""Write the torch.fx graph of a twin: calls of modules and functions, and constants."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from squeezed.foundation.errors import UserError, first_line
from squeezed.graphs.twin.functions import advance_with_each_image, repeat_for_each_image
from squeezed.graphs.twin.stand_ins import result_of
from squeezed.graphs.twin.values import Array, Call, Value, as_tensor

Sizes = tuple[int, int]


class Writer:
    """A torch.fx graph under construction, and the modules that it calls."""

    images: Value
    """The first input."""

    def __init__(self) -> None:
        """Begin."""
        self.graph = fx.Graph()
        self.root = nn.Module()
        self._names: set[str] = set(dir(nn.Module())) | {"normalise"}
        self._buffers: dict[Value, fx.Node] = {}

    @property
    def batches(self) -> Sizes:
        """The two batch sizes that everything is worked out for."""
        first, second = self.images.shapes
        return first[0], second[0]

    def module(self, call: Call, module: nn.Module, *args: Any, name: str = "") -> Value:
        """Write the call of a new module."""
        path = name if name == "normalise" else self.unique(name or module_name(call))
        module.eval()
        self.root.add_module(path, module)
        return self._write(call, "call_module", path, args, {})

    def function(self, call: Call, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Value:
        """Write the call of a function; values among the arguments become nodes or constants."""
        return self._write(call, "call_function", target, args, kwargs)

    def functions(
        self, call: Call, target: Callable[..., Any], *args: Any, **kw: Any
    ) -> list[Value]:
        """Write the call of a function that returns several tensors."""
        whole = self._write(call, "call_function", target, args, kw)
        assert whole.node is not None and whole.metas is not None
        parts = []
        for position in range(len(whole.metas[0])):
            node = self.graph.call_function(_item, (whole.node, position))
            node.meta["onnx_node"] = call.name
            metas = (whole.metas[0][position], whole.metas[1][position])
            parts.append(Value("", node=node, metas=metas))
        return parts

    def _write(self, call: Call, kind: str, target: Any, args: Any, kwargs: Any) -> Value:
        metas: dict[fx.Node, tuple[torch.Tensor, torch.Tensor]] = {}

        def resolve(item: Any) -> Any:
            if isinstance(item, Value):
                operand = self.operand(item)
                if isinstance(operand, fx.Node):
                    metas[operand] = self._metas_of(item, operand)
                return operand
            if isinstance(item, list | tuple):
                return type(item)(resolve(part) for part in item)
            return item

        args, kwargs = resolve(args), {key: resolve(item) for key, item in kwargs.items()}
        node = self.graph.create_node(
            kind,
            target,
            args,
            kwargs,
            name=target if kind == "call_module" else identifier(call.name),
        )
        node.meta["onnx_node"] = call.name
        called = self.root.get_submodule(target) if kind == "call_module" else target
        results = []
        for which in (0, 1):
            feed = [fx.node.map_arg(a, partial(_which, metas, which)) for a in (args, kwargs)]
            try:
                results.append(result_of(called, *feed))
            except (RuntimeError, IndexError) as error:
                raise UserError(f"the twin cannot compute {call} ({first_line(error)})") from error
        value = Value("", node=node, metas=(results[0], results[1]))
        if isinstance(results[0], torch.Tensor):
            node.meta["shape"] = value.shape
        return value

    def operand(self, value: Value) -> Any:
        """Return a value as an argument: a node, or a number where it is a scalar constant."""
        if value.node is not None:
            return value.node
        if value.constant and value.array.size == 1 and value.rank == 0:
            return value.array.astype(np.float64 if value.floating else value.array.dtype).item()
        if value not in self._buffers:
            self._buffers[value] = self._buffer(value)
        return self._buffers[value]

    def _buffer(self, value: Value) -> fx.Node:
        assert value.arrays is not None
        first, second = value.arrays
        if not value.constant and not _is_line_along_batch(first, second):
            raise UserError(
                f"the tensor {value.name!r} depends on the batch size in a way that the twin "
                "cannot follow; export the network with one image as the example"
            )
        node = self._registered(value.name, first if value.constant else first[:1])
        if value.constant:
            return node
        times, offset = linear(first.shape[0], second.shape[0], self.batches)
        step = second[1:2] - second[:1]
        if not np.any(step):
            return self.graph.call_function(
                repeat_for_each_image, (node, self.images.node, times, offset)
            )
        steps = self._registered(f"{value.name}_step", step)
        return self.graph.call_function(
            advance_with_each_image, (node, steps, self.images.node, times, offset)
        )

    def _registered(self, name: str, array: Array) -> fx.Node:
        """Write a buffer."""
        path = self.unique(identifier(name) or "constant")
        self.root.register_buffer(path, as_tensor(array))
        node = self.graph.get_attr(path)
        node.meta["onnx_output"] = name
        return node

    def _metas_of(self, value: Value, node: fx.Node) -> tuple[torch.Tensor, torch.Tensor]:
        if value.metas is not None:
            return value.metas
        assert value.arrays is not None
        first, second = (as_tensor(array) for array in value.arrays)
        return first, second

    def _as_node(self, operand: Any) -> fx.Node:
        """Return a node also for an output that is a constant number."""
        if isinstance(operand, fx.Node):
            return operand
        return self._buffer(Value("constant", arrays=(np.asarray(operand),) * 2))

    def unique(self, name: str) -> str:
        """Return a new name for a module, a buffer or an input."""
        name = identifier(name)
        fresh, number = name, 1
        while fresh in self._names:
            fresh, number = f"{name}_{number}", number + 1
        self._names.add(fresh)
        return fresh


def identifier(name: str) -> str:
    """Return a name that Python accepts: letters, digits and underscores."""
    name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return name if not name or name[0].isalpha() else f"n{name}"


def module_name(call: Call) -> str:
    """Return a module's name: its weight's, without `.weight`, or else its node's."""
    for value in call.inputs[1:]:
        match = re.fullmatch(
            r"(.+)[./]weight(_quantized|_dequantized|_DequantizeLinear_Output)*", value.name
        )
        if match:
            return match[1]
    return call.name.removesuffix("_quant")


def linear(first: int, second: int, batches: Sizes) -> tuple[int, int]:
    """Return (a, b) of the size a · n + b that is `first` and `second` for two batch sizes n."""
    times = (second - first) // (batches[1] - batches[0])
    return times, first - times * batches[0]


def _is_line_along_batch(first: Array, second: Array) -> bool:
    """Whether each row is a step (none, most often) from the last, for both batch sizes."""
    if first.ndim == 0 or len(second) < 2 or first.dtype.kind not in "iuf":
        return False
    rows = min(len(first), len(second))
    same_rows = first.shape[1:] == second.shape[1:] and np.array_equal(first[:rows], second[:rows])
    return same_rows and not np.any(np.diff(second, n=2, axis=0))


def _item(parts: Sequence[torch.Tensor], position: int) -> torch.Tensor:
    return parts[position]


def _which(
    metas: dict[fx.Node, tuple[torch.Tensor, torch.Tensor]], which: int, node: fx.Node
) -> torch.Tensor:
    return metas[node][which]
