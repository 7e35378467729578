"""Walk along an ONNX graph and write the torch.fx graph of its twin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import onnx
import torch
from onnx import numpy_helper
from torch import fx

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin import tracking
from squeezed.graphs.twin.constants import fold, shape_of
from squeezed.graphs.twin.functions import to_integers
from squeezed.graphs.twin.registry import HANDLERS
from squeezed.graphs.twin.stand_ins import stand_in
from squeezed.graphs.twin.values import Array, Call, Grid, Scale, Value
from squeezed.graphs.twin.writer import Writer, module_name


class Builder(Writer):
    """The twin under construction."""

    def __init__(self, model: onnx.ModelProto, relaxed: bool) -> None:
        """Begin.

        Args:
            model: without functions of its own.
            relaxed: whether the file fixes a batch size that the twin leaves free.
        """
        super().__init__()
        self.model = model
        self.relaxed = relaxed
        self.opsets = {
            o.domain if o.domain != "ai.onnx" else "": o.version for o in model.opset_import
        }
        self.values: dict[str, Value] = {}
        self.readers = Counter(name for node in model.graph.node for name in node.input)
        self.readers.update(output.name for output in model.graph.output)
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

    # ------------------------------------------------------------------ asking

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
