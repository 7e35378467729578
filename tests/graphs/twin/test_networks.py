"""Whole networks, in float and quantized, against PyTorch, ONNX Runtime and onnx.reference."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from squeezed.graphs.twin import build_twin, gradient_of_rounding, is_rounded, load_twin
from tests.graphs.twin.graphs import computed, gradient, images, runtime
from tests.graphs.twin.networks import exported, network, quantized
from tests.matrix import matrix

QUICK = {"tiny_residual": 32}
MORE = {
    "mobilenet_v3_small": 32,
    "shufflenet_v2_x0_5": 32,
    "resnet18": 64,
    "vgg11_bn": 32,
    "googlenet": 64,
    "inception_v3": 96,
    "mobilenet_v2": 64,
    "efficientnet_b0": 64,
    "densenet121": 64,
    "squeezenet1_1": 64,
    "shufflenet_v2_x1_0": 64,
    "mnasnet0_5": 64,
    "regnet_y_400mf": 64,
    "convnext_tiny": 64,
    "alexnet": 64,
    "vit_b_32": 224,
    "swin_t": 64,
    "maxvit_t": 224,
}
FAMILIES = [
    *(pytest.param(name, size, id=name) for name, size in QUICK.items()),
    *matrix(MORE, "mobilenet_v3_small"),
]
SCHEMES = ["QDQ-channel", "QDQ-tensor", "QOperator-channel", "QOperator-tensor", "dynamic"]
QUANTIZED_IN_CI = {
    "mobilenet_v3_small": ("QDQ-channel", "QOperator-tensor", "dynamic"),
    "swin_t": ("QDQ-channel",),
}
"""Beside the quick ones."""


def quantizations():
    """Each network in each scheme: most of them are the matrix."""
    for name, size in (QUICK | MORE).items():
        for scheme in SCHEMES:
            kept = scheme in QUANTIZED_IN_CI.get(name, ())
            mark = () if name in QUICK else pytest.mark.slow if kept else pytest.mark.matrix
            yield pytest.param(name, size, scheme, id=f"{name}-{scheme}", marks=mark)


@pytest.fixture(scope="module")
def files():
    """Networks and their exports, made once."""
    made = {}

    def get(name: str, size: int):
        if name not in made:
            made.clear()
            model = network(name, size)
            made[name] = model, exported(model, size)
        return made[name]

    return get


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_float_networks_and_their_gradients_are_pytorch_s(files, name, size):
    model, graph = files(name, size)
    twin = build_twin(graph)
    x = images(3, 3, size, size, seed=9)
    expected = computed(model, x)
    assert np.abs(computed(twin, x) - expected).max() < 2e-5 * expected.std()
    ours, theirs = gradient(twin, x), gradient(model, x)
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(theirs).max()
    assert not is_rounded(twin)


@pytest.mark.parametrize(("name", "size", "scheme"), list(quantizations()))
def test_quantized_networks(files, name, size, scheme):
    """The twin is as near to ONNX Runtime as that is to itself without its optimisations.

    Sums in another order round an activation to the next level now and then, in either; so there
    are a few such steps between the three, and logits that differ by some of the last ones.
    """
    model, graph = files(name, size)
    graph = quantized(graph, scheme, size)
    twin = build_twin(graph)
    assert is_rounded(twin)
    x = images(8, 3, size, size, seed=9)
    default, plain = runtime(graph, x), runtime(graph, x, optimised=False)
    ours = computed(twin, x)
    error_of_quantization = np.abs(default - computed(model, x)).mean()
    apart = min(np.abs(ours - other).mean() for other in (default, plain))
    assert apart <= max(np.abs(default - plain).mean(), 0.5 * error_of_quantization)
    assert np.abs(gradient(twin, x)).max() > 0
    with gradient_of_rounding(twin):
        assert np.abs(gradient(twin, x)).max() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_quantized_networks_are_what_onnx_defines(files, scheme):
    """onnx.reference, with no optimisation and no kernel of anybody's."""
    graph = quantized(files("tiny_residual", 32)[1], scheme, 32)
    if any(node.domain == "com.microsoft" for node in graph.graph.node):
        pytest.skip("onnx.reference has no operators of com.microsoft")
    graph.opset_import[0].version = 21  # the evaluator has no older DequantizeLinear
    x = images(2, 3, 32, 32, seed=9)
    (expected,) = ReferenceEvaluator(graph).run(None, {"images": x})
    result = computed(build_twin(graph), x)
    step = np.abs(expected).max() / 127
    assert np.abs(result - expected).max() <= 1.01 * step


def test_one_image_and_many_at_once_are_the_same(files):
    graph = quantized(files("tiny_residual", 32)[1], "QDQ-channel", 32)
    twin = build_twin(graph)
    x = images(16, 3, 32, 32)
    alone = np.concatenate([computed(twin, image[None]) for image in x])
    np.testing.assert_allclose(computed(twin, x), alone, atol=2e-2)


def test_two_builds_are_the_same(files):
    graph = quantized(files("tiny_residual", 32)[1], "QDQ-channel", 32)
    first, second = build_twin(graph), build_twin(graph)
    assert first.code == second.code
    state = second.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in first.state_dict().items())


@pytest.mark.parametrize("name", ["resnet_2b", "resnet_4b"])
def test_networks_of_others(name):
    """Opset 9, batch fixed at 1."""
    folder = os.environ.get("SQUEEZED_TEST_DATA")
    if not folder:
        pytest.skip("SQUEEZED_TEST_DATA names no folder of pretrained networks")
    path = Path(folder) / "pretrained" / f"{name}.onnx"
    twin, model = load_twin(path), onnx.load(path)
    x = images(8, 3, 32, 32)
    expected = np.concatenate([runtime(model, image[None]) for image in x])
    np.testing.assert_allclose(computed(twin, x), expected, atol=1e-4)
    assert next(n.target for n in twin.graph.nodes if n.op == "call_module") == "conv1"
