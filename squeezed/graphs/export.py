"""From a network to its graph: PyTorch's own exporter, then names of the network's own.

The graph takes images in [0, 1]: the normalisation is its first two nodes. Batch norms are folded
into the convolutions before them. What the exporter writes about the code that made each node
(paths of this machine among it) is taken out, so that a clone elsewhere exports equal bytes.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from onnx import TensorProto, helper

from squeezed import __version__
from squeezed.data.dataset import Dataset
from squeezed.foundation.errors import UserError, first_line
from squeezed.graphs.averaging import average_globally, exported_average_pools
from squeezed.graphs.graph_file import GraphCard
from squeezed.graphs.naming import name_by_modules
from squeezed.networks.classifier import Classifier
from squeezed.networks.network_file import NetworkCard

OPSET = 20
"""Holds every activation of torchvision's networks as one operator (Gelu came last)."""

IR_VERSION = 9
"""The file format that came with opset 20."""

INPUT, OUTPUT, BATCH = "images", "logits", "n"


def export_network(model: Classifier, image_size: tuple[int, int]) -> onnx.ModelProto:
    """Return the graph from `images` (n, C, H, W) in [0, 1] to `logits` (n, classes).

    The same model gives the same bytes, on any machine. Nodes are named by the module that they
    come from (`features.0`, `layer1.0.conv1`), and each value by the node that computes it.

    Args:
        model: on the CPU; it is put into evaluation mode, and left as it is otherwise.
        image_size: height and width.

    Raises:
        UserError: if PyTorch's exporter cannot follow the network.
    """
    model.eval()
    channels = model.normalise.mean.shape[1]
    # Two images: a batch of one would be taken for a constant.
    images = torch.zeros(2, channels, *image_size)
    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                (images,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                custom_translation_table=exported_average_pools(),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise UserError(
            f"{type(model.network).__name__} cannot be exported to ONNX: PyTorch's exporter "
            f"cannot follow it ({_reason(error)})"
        ) from error
    assert program is not None
    graph = program.model_proto
    classes = graph.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    graph = _without_traces(graph, type(model.network).__name__)
    average_globally(graph)
    name_by_modules(graph)
    _state_batch(graph, [BATCH, channels, *image_size], [BATCH, classes])
    graph = onnx.shape_inference.infer_shapes(graph, strict_mode=True)
    onnx.checker.check_model(graph, full_check=True)
    return graph


def describe(card: NetworkCard, dataset: Dataset) -> GraphCard:
    """Return the card of the graph of a network.

    Args:
        card: the network's.
        dataset: what it was made for, which knows how a picture becomes its input.
    """
    return GraphCard(
        class_names=card.class_names,
        image_size=card.image_size,
        mean=card.mean,
        std=card.std,
        architecture=card.architecture,
        variant=card.variant,
        seed=card.seed,
        recipe=[card.recipe],
        **dataset.preprocessing,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what the exporter says of its own decompositions and of missing packages."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """Return the first line of what went wrong at the bottom, not of the exporter's advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


def _without_traces(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return the graph alone, under `name`, with constants as initializers.

    The nodes keep their metadata: they are named by them.
    """
    graph = onnx.GraphProto(name=name, input=model.graph.input, output=model.graph.output)
    graph.initializer.extend(model.graph.initializer)
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constant = graph.initializer.add()
            constant.CopyFrom(node.attribute[0].t)
            constant.name = node.output[0]
        else:
            graph.node.append(node)
    for constant in graph.initializer:
        constant.ClearField("doc_string")
        del constant.metadata_props[:]
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="squeezed",
        producer_version=__version__,
    )


def _state_batch(model: onnx.ModelProto, images: list[str | int], logits: list[str | int]) -> None:
    """Write the shapes of input and output with the batch by its name."""
    del model.graph.input[:], model.graph.output[:]
    for values, name, shape in (
        (model.graph.input, INPUT, images),
        (model.graph.output, OUTPUT, logits),
    ):
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
