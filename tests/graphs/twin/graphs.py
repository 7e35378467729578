"""Small ONNX graphs, and the engine to compare twins with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def images(n: int, *size: int, seed: int = 0) -> Array:
    """Images in [0, 1]."""
    return generator(seed).random((n, *size), dtype=np.float32)


def weights(*shape: int, seed: int = 0) -> Array:
    return generator(seed).normal(0, 0.3, shape).astype(np.float32)


def graph(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Array] | None = None,
    size: tuple[Any, ...] = ("n", 3, 8, 8),
    opset: int = 18,
    output: str = "y",
    kind: int = TensorProto.FLOAT,
    output_kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A graph from `x` to `y`."""
    made = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("x", kind, size)],
        [helper.make_tensor_value_info(output, output_kind, None)],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def node(
    op: str, inputs: str, outputs: str = "y", domain: str = "", **attributes
) -> onnx.NodeProto:
    """A node whose inputs and outputs are written with blanks between; `-` is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(
        op, names, outputs.split(), name=f"{op}_{outputs.split()[0]}", domain=domain, **attributes
    )


def runtime(model: onnx.ModelProto, x: Array, optimised: bool = True) -> Array:
    """What ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimised:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (result,) = session.run(None, {session.get_inputs()[0].name: x})
    return np.asarray(result)


def computed(twin: Callable[[torch.Tensor], torch.Tensor], x: Array) -> Array:
    """What the twin computes."""
    with torch.no_grad():
        return twin(torch.from_numpy(np.asarray(x, np.float32))).numpy()


def gradient(twin: Callable[[torch.Tensor], torch.Tensor], x: Array) -> Array:
    """The gradient of the sum of what the twin computes."""
    leaf = torch.from_numpy(x).requires_grad_()
    twin(leaf).sum().backward()
    assert leaf.grad is not None
    return leaf.grad.numpy()
