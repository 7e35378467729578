"""Write a network as an ONNX graph: float layers as they are, quantized layers as integers.

Written directly from the graph of torch.fx, not by torch.onnx: 0.2 s instead of 7 s a model, and
names, integers and their scales arrive in the file exactly as they are in the model.

A statically quantized layer becomes QuantizeLinear → DequantizeLinear on its input and
DequantizeLinear on its uint8 weights and int32 bias ("QDQ"), which ONNX Runtime fuses to integer
kernels (QLinearConv, QGemm) and any other runtime can compute as it is written. A dynamically
quantized one becomes DynamicQuantizeLinear → MatMulInteger.
"""

import operator

import onnx
import torch
from onnx import TensorProto, helper
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from squeezed.graphs.graph_writer import GraphWriter, as_numpy, shape_of
from squeezed.graphs.onnx_layers import write_layer
from squeezed.graphs.onnx_operations import write_operation
from squeezed.networks.call_graph import call_graph
from squeezed.networks.classifier import Classifier

OPSET = 17
"""Old enough for every runtime of the last years; quantization of whole tensors needs 13."""

INPUT, OUTPUT, BATCH = "images", "logits", "n"


def onnx_graph(model: Classifier, image_size: tuple[int, int], classes: int) -> onnx.GraphProto:
    """Return the graph from `images` (n, 3, H, W) in [0, 1] to `logits` (n, classes).

    Args:
        model: of any variant, in evaluation mode, on the CPU.
        image_size: height and width.
        classes: number of outputs.

    Raises:
        UserError: if torch.fx cannot trace the network, or it uses an operation not known here.
    """
    model.eval()
    graph = call_graph(model)
    shapes = ShapeProp(fx.GraphModule(model, graph))
    with torch.no_grad():
        shapes.propagate(torch.zeros(1, 3, *image_size))
    writer = GraphWriter()
    for node in graph.nodes:
        _write(writer, model, node)
    return helper.make_graph(
        writer.nodes,
        type(model.network).__name__,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [BATCH, 3, *image_size])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [BATCH, classes])],
        list(writer.initializers.values()),
    )


def _write(writer: GraphWriter, model: nn.Module, node: fx.Node) -> None:
    """Append what one call needs."""
    if node.op == "placeholder":
        result = INPUT
    elif node.op == "output":
        result = writer.emit("Identity", [writer.value(node.args[0], "")], "output", output=OUTPUT)
    elif node.op == "get_attr":
        tensor = operator.attrgetter(str(node.target))(model)
        result = writer.constant(str(node.target), as_numpy(tensor))
    elif node.op == "call_module":
        source, path = node.args[0], str(node.target)
        assert isinstance(source, fx.Node)
        name = path.removeprefix("network.")
        module = model.get_submodule(path)
        result = write_layer(writer, module, writer.value_of[source], name, shape_of(source))
    else:
        result = write_operation(writer, node)
    writer.value_of[node] = result
