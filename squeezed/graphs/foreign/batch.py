"""Free the batch of a graph that was exported for one image at a time."""

import numpy as np
import onnx
from onnx import numpy_helper


def free_batch(model: onnx.ModelProto, fixed: int) -> onnx.ModelProto:
    """Return a copy whose batch is free, as far as that can be read from the graph.

    The stated shapes lose the batch, and so do the constant shapes of `Reshape` that begin with it.
    Whether the copy computes the same must be tried (`squeezed.graphs.foreign.core`).

    Args:
        model: left as it is.
        fixed: the size of its batch.
    """
    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    graph = freed.graph
    del graph.value_info[:]
    constants = {tensor.name for tensor in graph.initializer}
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and dims and dims[0].dim_value == fixed:
            dims[0].dim_param = "n"
    shapes = {tensor.name: tensor for tensor in graph.initializer}
    made = {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    for node in graph.node:
        if node.op_type != "Reshape" or len(node.input) < 2:
            continue
        tensor = shapes.get(node.input[1], made.get(node.input[1]))
        if tensor is None:
            continue
        wanted = numpy_helper.to_array(tensor)
        if wanted.ndim != 1 or len(wanted) < 2 or wanted[0] != fixed or node.input[0] in shapes:
            continue
        loose = wanted.copy()
        # 0 copies the input's first dimension; -1 is what is left over.
        loose[0] = 0 if -1 in wanted[1:] else -1
        name = f"{node.output[0]}/shape with a free batch"
        graph.initializer.append(numpy_helper.from_array(loose.astype(np.int64), name))
        node.input[1] = name
    return freed
