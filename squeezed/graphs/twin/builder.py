"""Walk along an ONNX graph and write the torch.fx graph of its twin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import fx, nn

from squeezed.foundation.errors import UserError, first_line
from squeezed.graphs.twin import tracking
from squeezed.graphs.twin.constants import fold, shape_of
from squeezed.graphs.twin.functions import (
    advance_with_each_image,
    repeat_for_each_image,
    to_integers,
)
from squeezed.graphs.twin.registry import HANDLERS
from squeezed.graphs.twin.stand_ins import result_of, stand_in
from squeezed.graphs.twin.values import Array, Call, Grid, Scale, Value, as_tensor

Sizes = tuple[int, int]


class Builder:
    """The twin under construction."""

    def __init__(self, model: onnx.ModelProto, relaxed: bool) -> None:
        """Begin.

        Args:
            model: without functions of its own.
            relaxed: whether the file fixes a batch size that the twin leaves free.
        """
        self.model = model
        self.relaxed = relaxed
        self.opsets = {
            o.domain if o.domain != "ai.onnx" else "": o.version for o in model.opset_import
        }
        self.graph = fx.Graph()
        self.root = nn.Module()
        self.values: dict[str, Value] = {}
        self.images: Value
        self.readers = Counter(name for node in model.graph.node for name in node.input)
        self.readers.update(output.name for output in model.graph.output)
        self._names: set[str] = set(dir(nn.Module())) | {"normalise"}
        self._buffers: dict[Value, fx.Node] = {}
        self.normalised: fx.Node | None = None
        self.normalisation: tuple[Array, Array] | None = None

    # ------------------------------------------------------------------ building

    def build(
        self, inputs: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]]
    ) -> fx.GraphModule:
        """Return the twin.

        Args:
            inputs: name and shape for either of two batch sizes, of each input.
        """
        for tensor in self.model.graph.initializer:
            array = numpy_helper.to_array(tensor)
            self.values[tensor.name] = Value(tensor.name, arrays=(array, array))
        types = {i.name: i.type.tensor_type.elem_type for i in self.model.graph.input}
        for name, *shapes in inputs:
            dtype = _INPUT_DTYPES.get(types[name], torch.float32)
            node = self.graph.placeholder(self.unique(name))
            node.meta["onnx_output"] = name
            first, second = (stand_in(shape, dtype) for shape in shapes)
            value = Value(name, node=node, metas=(first, second), nonnegative=len(inputs) == 1)
            self.values[name] = value
        self.images = self.values[inputs[0][0]]
        self.walk(self.model.graph)
        outputs = [self.operand(self._plain_output(o.name)) for o in self.model.graph.output]
        outputs = [self._as_node(output) for output in outputs]
        self.graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
        self.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        self.graph.lint()
        twin = fx.GraphModule(self.root, self.graph, class_name="Twin")
        twin.delete_all_unused_submodules()
        return twin.eval()

    def _value(self, name: str) -> Value:
        if name not in self.values:
            raise UserError(
                f"the twin lacks {name!r}, an output of a node of which it knows others"
            )
        return self.values[name]

    def _plain_output(self, name: str) -> Value:
        value = self._value(name)
        if value.producer is None:
            return value
        return self.plain(value.producer, value)

    def walk(self, graph: onnx.GraphProto) -> None:
        """Write all nodes of a graph."""
        for proto in graph.node:
            call = Call(
                proto,
                [self._value(name) if name else None for name in proto.input],
                self.opsets.get("" if proto.domain == "ai.onnx" else proto.domain, 1),
            )
            for name, value in zip(call.outputs, self._outputs(call), strict=False):
                if name:
                    self.values[name] = value

    def _outputs(self, call: Call) -> list[Value]:
        if call.op in ("Shape", "Size") and call.domain == "":
            return [shape_of(call)]
        if call.op == "If" and call.domain == "":
            return self._branch(call)
        if all(value.known for value in call.inputs) and (call.domain, call.op) not in _RANDOM:
            return fold(call, self.opsets)
        handler = HANDLERS[call.domain, call.op]
        if not tracking.takes_as_is(call):
            call.replace_inputs(lambda value: self.plain(call, value))
        results = handler(self, call)
        ignored = [name for name in call.ignored if name not in _WITHOUT_EFFECT]
        if ignored:
            raise UserError(f"the twin knows no attribute {', '.join(ignored)} of {call}")
        results = results if isinstance(results, list) else [results]
        for name, value in zip(call.outputs, results, strict=False):
            if value.node is not None and "onnx_output" not in value.node.meta:
                value.node.meta["onnx_output"] = name
            if value.producer is None:
                value.producer, value.name = call, name
            tracking.follow(call, value)
        return results

    def _branch(self, call: Call) -> list[Value]:
        """Write the branch that a constant condition takes."""
        condition = call.array(0)
        assert condition is not None
        branch = call.get("then_branch" if bool(condition.reshape(-1)[0]) else "else_branch")
        for tensor in branch.initializer:
            array = numpy_helper.to_array(tensor)
            self.values[tensor.name] = Value(tensor.name, arrays=(array, array))
        self.walk(branch)
        return [self.values[output.name] for output in branch.output]

    # ------------------------------------------------------------------ writing

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
            name=target if kind == "call_module" else self._node_name(call),
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

    # ------------------------------------------------------------------ asking

    @property
    def batches(self) -> Sizes:
        """The two batch sizes that everything is worked out for."""
        first, second = self.images.shapes
        return first[0], second[0]

    def only_reader(self, value: Value) -> bool:
        """Whether no other node and no output reads a value."""
        return self.readers[value.name] == 1

    def plain(self, call: Call, value: Value) -> Value:
        """Return a value as ONNX has it: integers as such, nothing left to multiply by."""
        if value.times_scale is not None:
            return self.function(call, torch.div, value, value.times_scale.origin)
        if isinstance(value.grid, Scale):
            return self.function(call, to_integers, value, value.grid.origin, value.grid.zero_point)
        if value.grid is None:
            return value
        return self.function(call, to_integers, value, *grid_constants(value, value.grid))

    def alias(self, value: Value) -> Value:
        """Return a value under another name of the graph's."""
        layer = value.layer if self.only_reader(value) else None
        return replace(value, name="", producer=None, layer=layer)

    def name_of(self, call: Call) -> str:
        """Return what a module of this call is called."""
        return module_name(call)

    def unique(self, name: str) -> str:
        """Return a new name for a module, a buffer or an input."""
        name = identifier(name)
        fresh, number = name, 1
        while fresh in self._names:
            fresh, number = f"{name}_{number}", number + 1
        self._names.add(fresh)
        return fresh

    def _node_name(self, call: Call) -> str:
        return identifier(call.name)


def grid_constants(x: Value, grid: Grid) -> tuple[Value, Value]:
    """Return the scale and zero point of a grid in a shape that broadcasts to `x`."""
    shape: tuple[int, ...] = ()
    if grid.scale.ndim > 1:
        shape = grid.scale.shape
    elif grid.axis is not None:
        shape = (-1, *[1] * (x.rank - 1 - grid.axis % x.rank))
    scale, zero_point = grid.scale.reshape(shape), grid.zero_point.reshape(shape)
    return (
        Value(f"{x.name}_scale", arrays=(scale, scale)),
        Value(f"{x.name}_zero_point", arrays=(zero_point, zero_point)),
    )


_RANDOM = {("", op) for op in ("RandomNormal", "RandomUniform", "Bernoulli", "Multinomial")}

_WITHOUT_EFFECT = {
    *("kernel_shape", "storage_order", "saturate", "stash_type", "momentum", "spatial", "is_test"),
    *("seed", "ratio", "precision", "consumed_inputs", "layout", "training_mode", "nearest_mode"),
    *("cubic_coeff_a", "exclude_outside", "extrapolation_value", "antialias", "accuracy_level"),
    *("weight_prepacked", "softmax_precision", "qk_matmul_output_mode", "mask_filter_value"),
    *("round_mode", "auto_pad", "output_dtype", "block_size", "axis", "dilations"),
}
"""Attributes that do not change what a call computes where nobody asks for them."""

_INPUT_DTYPES = {
    onnx.TensorProto.BOOL: torch.bool,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.INT32: torch.int64,
}


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
