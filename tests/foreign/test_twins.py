"""The graph of an imported file has a twin, so that it can be attacked and explained."""

import numpy as np
import pytest
import torch
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from squeezed.graphs.foreign.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from squeezed.graphs.twin import build_twin
from tests.foreign.models import UINT8, classifier, images, saved
from tests.foreign.test_import import Images, graph_of, run

NORMALISED = Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD)


@pytest.mark.parametrize(
    ("made", "preprocessing"),
    [
        ({}, NORMALISED),
        ({"batch": 1, "softmax": True, "opset": 9}, NORMALISED),
        ({"last": True}, Preprocessing(range=(0, 255), channel_order="BGR")),
        ({"element": UINT8, "last": True}, Preprocessing()),
        ({"channels": 1}, Preprocessing(mean=(0.5,), std=(0.5,))),
    ],
)
def test_it_computes_the_same_and_has_a_gradient(tmp_path, made, preprocessing):
    path = saved(classifier(**made), tmp_path)
    _, graph = graph_of(path, preprocessing)
    given = images()
    twin = build_twin(graph).eval()
    pixels = torch.from_numpy(given).requires_grad_()
    logits = twin(pixels)
    np.testing.assert_allclose(logits.detach().numpy(), run(graph, given), rtol=1e-4, atol=1e-4)
    logits.square().sum().backward()
    assert (pixels.grad.flatten(1).norm(dim=1) > 0).all()


def test_8_bits_too(tmp_path):
    source, target = saved(classifier(), tmp_path), tmp_path / "int8.onnx"
    quantize_static(
        source, target, Images(), quant_format=QuantFormat.QOperator, per_channel=True,
        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
    )  # fmt: skip
    _, graph = graph_of(target, NORMALISED)
    given = images()
    pixels = torch.from_numpy(given).requires_grad_()
    logits = build_twin(graph).eval()(pixels)
    np.testing.assert_allclose(logits.detach().numpy(), run(graph, given), atol=0.2)
    logits.square().sum().backward()
    assert (pixels.grad.flatten(1).norm(dim=1) > 0).any()
