"""The exported graph: valid, named by its modules, reproducible, and the network's own function."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from benchmarks import architectures
from squeezed.foundation.errors import UserError
from squeezed.graphs.export import export_network
from squeezed.networks import Classifier, build_network
from tests.matrix import matrix
from tests.steps.networks import CLASSES, MEAN, SIZE, STD, disturb, images, resnet18, tiny_vgg

FAMILIES = [*architectures.FAMILIES, "maxvit_t"]
SIZES = {**architectures.SIZES, "maxvit_t": 224}
ARGUMENTS = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}


def family(name):
    """A torchvision network with drawn weights and statistics, and its images' size."""
    size = (SIZES.get(name, 64),) * 2
    network = build_network(
        name, num_classes=CLASSES, image_size=size, arguments=ARGUMENTS.get(name, {})
    )
    return Classifier(disturb(network), MEAN, STD).eval(), size


def logits_of(model, batch, optimised=True):
    """What ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return session.run(None, {"images": np.asarray(batch)})[0]


def assert_same_function(model, graph, batch, tolerance=1e-4):
    with torch.no_grad():
        expected = model(batch).numpy()
    found = logits_of(graph, batch)
    assert np.abs(found - expected).max() <= tolerance * np.ptp(expected)


def folded_batch_norms(graph):
    """Batch norms that stand directly behind a convolution."""
    made_by = {output: node.op_type for node in graph.graph.node for output in node.output}
    norms = [node for node in graph.graph.node if node.op_type == "BatchNormalization"]
    return [node.name for node in norms if made_by.get(node.input[0]) == "Conv"]


@pytest.mark.parametrize("batch", [1, 5])
def test_the_graph_computes_what_the_network_does(batch):
    model = tiny_vgg()
    graph = export_network(model, SIZE)
    assert_same_function(model, graph, images(batch))
    assert not Counter(node.op_type for node in graph.graph.node)["BatchNormalization"]


def test_onnx_reference_computes_the_same():
    model = tiny_vgg()
    evaluator = onnx.reference.ReferenceEvaluator(export_network(model, SIZE))
    (found,) = evaluator.run(None, {"images": images(4).numpy()})
    with torch.no_grad():
        expected = model(images(4)).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.ptp(expected)


def test_nodes_and_values_have_the_names_of_their_modules():
    graph = export_network(resnet18(), (32, 32)).graph
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    for name in ("normalise.sub", "conv1", "layer1.0.conv1", "layer1.0.add", "layer4.1.relu", "fc"):
        assert name in names
    modules = dict(resnet18().network.named_modules())
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    assert {node.name for node in layers} == {
        name for name, module in modules.items() if isinstance(module, nn.Conv2d | nn.Linear)
    }
    for node in layers:
        assert list(node.input[1:]) == [f"{node.name}.weight", f"{node.name}.bias"]
    assert all(node.output[0] in (node.name, "logits") for node in graph.node)


def test_input_and_output_are_those_of_every_graph():
    graph = export_network(tiny_vgg(), SIZE).graph
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {"images": ["n", 3, *SIZE], "logits": ["n", CLASSES]}


@pytest.mark.parametrize("size", [(5, 5), (8, 8), (6, 10), (14, 14), (7, 7), (1, 1)])
def test_adaptive_averages_of_any_size_are_torchs(size):
    class Averaging(nn.Module):
        def __init__(self):
            super().__init__()
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))

        def forward(self, values):
            return self.avgpool(values).flatten(1)

    model = Classifier(Averaging(), MEAN, STD).eval()
    graph = export_network(model, size)
    assert_same_function(model, graph, images(3, size))
    assert not {"GatherND", "ReduceMean"} & {node.op_type for node in graph.graph.node}


@pytest.mark.parametrize("keepdim", [True, False])
def test_a_mean_over_the_map_is_a_global_average(keepdim):
    class Mean(nn.Module):
        def forward(self, values):
            return values.mean((2, 3), keepdim=keepdim).flatten(1)

    model = Classifier(Mean(), MEAN, STD).eval()
    graph = export_network(model, SIZE)
    assert "GlobalAveragePool" in {node.op_type for node in graph.graph.node}
    assert_same_function(model, graph, images(3))


EXPORT = """
import sys
from pathlib import Path
from squeezed.graphs.export import export_network
from tests.steps.networks import resnet18
graph = export_network(resnet18(), (32, 32))
Path(sys.argv[1]).write_bytes(graph.SerializeToString(deterministic=True))
"""


def test_two_clones_export_equal_bytes(tmp_path):
    """Other folder, other process, other order of Python's sets; and no path of this machine."""
    contents = []
    for seed in ("1", "2"):
        clone = tmp_path / f"clone{seed}"
        clone.mkdir()
        for room in ("squeezed", "tests"):
            (clone / room).symlink_to(os.path.realpath(room), target_is_directory=True)
        subprocess.run(
            [sys.executable, "-c", EXPORT, str(clone / "graph.onnx")],
            cwd=clone,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(clone)},
            check=True,
        )
        contents.append((clone / "graph.onnx").read_bytes())
    assert contents[0] == contents[1]
    assert b"torch/" not in contents[0]
    assert b"/squeezed/" not in contents[0]
    assert b"pkg.torch" not in contents[0]


def test_exporting_says_nothing(capfd):
    export_network(tiny_vgg(), SIZE)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_a_network_that_cannot_be_followed_is_refused_in_one_sentence():
    class Odd(nn.Module):
        def forward(self, values):
            if values.sum() > 0:
                return values.mean((2, 3))
            return values.amax((2, 3))

    with pytest.raises(UserError, match="Odd cannot be exported to ONNX") as error:
        export_network(Classifier(Odd(), MEAN, STD), SIZE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", matrix(FAMILIES, "resnet18", "squeezenet1_1", "swin_t"))
def test_every_family_exports(name):
    model, size = family(name)
    graph = export_network(model, size)
    # Drawn weights let the rounding of MaxViT's 165 additions grow to 1.5e-4.
    assert_same_function(model, graph, images(3, size), tolerance=1e-3)
    assert folded_batch_norms(graph) == []
    names = [node.name for node in graph.graph.node]
    assert len(set(names)) == len(names)
