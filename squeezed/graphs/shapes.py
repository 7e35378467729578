"""The shapes inside a graph for one image: inferred, or, where that fails, seen. No torch."""

from collections.abc import Iterable

import numpy as np
import onnx
import onnxruntime
from onnx import helper

Shape = tuple[int, ...]


def shapes_for_one_image(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, Shape]:
    """Return the shape of each of the values `names` when the graph is given one image."""
    wanted = set(names)
    single = onnx.ModelProto()
    single.CopyFrom(model)
    del single.graph.value_info[:]
    for value in (*single.graph.input, *single.graph.output):
        if value.type.tensor_type.HasField("shape") and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(single, data_prop=True).graph
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
        if value.type.tensor_type.HasField("shape")
    }
    known = {name: shapes[name] for name in wanted & set(shapes) if all(shapes[name])}
    return {**known, **_seen(single, wanted - set(known))} if wanted - set(known) else known


def _seen(model: onnx.ModelProto, names: set[str]) -> dict[str, Shape]:
    """Run one image of zeros and look: ONNX knows no shapes behind a runtime's own operators."""
    made = [name for node in model.graph.node for name in node.output if name in names]
    outputs = {value.name for value in model.graph.output}
    for name in made:
        if name not in outputs:
            model.graph.output.append(helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    image = session.get_inputs()[0]
    images = np.zeros([side if isinstance(side, int) else 1 for side in image.shape], np.float32)
    values = session.run(made, {image.name: images})
    return {name: np.shape(value) for name, value in zip(made, values, strict=True)}
