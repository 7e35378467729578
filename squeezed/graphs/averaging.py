"""Average pooling in forms that every engine has, and that integer kernels exist for.

PyTorch's exporter writes an average over a whole map as a general ReduceMean, and an adaptive one
whose windows have several sizes as a Gather of indices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxscript import opset20 as op


def exported_average_pools() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what PyTorch's exporter is to write for each adaptive average pooling."""
    return {
        torch.ops.aten.adaptive_avg_pool2d.default: _adaptive_average_pool,
        torch.ops.aten._adaptive_avg_pool2d.default: _adaptive_average_pool,
    }


def _adaptive_average_pool(self: Any, output_size: Sequence[int]) -> Any:
    """Average a map (n, C, H, W) over windows whose bounds follow from both sizes."""
    height, width = (int(side) for side in self.shape[2:])
    rows, columns = (int(side) for side in output_size)
    if (rows, columns) == (height, width):
        return op.Identity(self)
    if (rows, columns) == (1, 1):
        return op.GlobalAveragePool(self)
    if height % rows == 0 and width % columns == 0:
        window = [height // rows, width // columns]
        return op.AveragePool(self, kernel_shape=window, strides=window)
    # Windows can overlap or repeat, which AveragePool cannot: averages as matrices can.
    over_rows = op.Constant(value=numpy_helper.from_array(averages(height, rows)))
    over_columns = op.Constant(value=numpy_helper.from_array(averages(width, columns).T))
    return op.MatMul(op.MatMul(over_rows, self), over_columns)


def averages(inputs: int, outputs: int) -> NDArray[np.float32]:
    """Return the matrix (outputs, inputs) of torch's adaptive average pooling along one side."""
    matrix = np.zeros((outputs, inputs), dtype=np.float32)
    for index in range(outputs):
        start, stop = index * inputs // outputs, -((index + 1) * inputs // -outputs)
        matrix[index, start:stop] = 1 / (stop - start)
    return np.ascontiguousarray(matrix)


def average_globally(model: onnx.ModelProto) -> None:
    """Write each mean over the height and width of a map as GlobalAveragePool, in place."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.input)}
    constants = {constant.name: constant for constant in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if not _is_global_mean(node, constants, ranks):
            nodes.append(node)
            continue
        kept = next((a.i for a in node.attribute if a.name == "keepdims"), 1)
        average = helper.make_node(
            "GlobalAveragePool", [node.input[0]], list(node.output), node.name
        )
        average.metadata_props.extend(node.metadata_props)
        nodes.append(average)
        if not kept:
            average.output[0] = f"{node.output[0]}/map"
            shape = numpy_helper.from_array(np.array([0, -1], np.int64), f"{node.output[0]}/shape")
            model.graph.initializer.append(shape)
            flat = helper.make_node(
                "Reshape", [average.output[0], shape.name], list(node.output), f"{node.name}/flat"
            )
            flat.metadata_props.extend(node.metadata_props)
            nodes.append(flat)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _is_global_mean(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], ranks: dict[str, int]
) -> bool:
    if node.op_type != "ReduceMean" or ranks.get(node.input[0]) != 4:
        return False
    if len(node.input) < 2 or node.input[1] not in constants:
        return False
    axes = numpy_helper.to_array(constants[node.input[1]])
    return sorted(int(axis) % 4 for axis in axes) == [2, 3]
