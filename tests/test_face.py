"""The public face: its examples are run as they stand, and importing it costs nothing."""

import doctest
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

import squeezed
from squeezed import face
from squeezed.foundation.errors import UserError
from squeezed.graphs.export import export_network
from squeezed.networks import VGG6, Classifier

CLASSES, SIZE = 3, (16, 16)


@pytest.fixture
def example(tmp_path, monkeypatch):
    """A folder with `network.onnx`, and four images that the network classifies as labelled."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = VGG6(CLASSES, SIZE, widths=(4, 4, 6, 6, 8, 8), hidden_features=(12, 10))
    model = Classifier(network, [0.5] * 3, [0.25] * 3).eval()
    images = torch.rand(4, 3, *SIZE)
    with torch.no_grad():  # no class far above the others, which no change of an image would reach
        network.classifier[-1].bias -= model(images).mean(dim=0)
    onnx.save(export_network(model, SIZE), tmp_path / "network.onnx")
    return {"images": images, "labels": model(images).argmax(dim=1), "model": model}


@pytest.mark.parametrize("name", face.__all__)
def test_an_example_runs_as_it_stands(example, name):
    names = {"squeezed": squeezed, "onnx": onnx, "torch": torch, **example}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    tried = parser.get_doctest(getattr(face, name).__doc__, names, name, None, 0)
    assert tried.examples
    assert runner.run(tried).failed == 0


def test_what_was_loaded_is_the_network(example):
    found = squeezed.load("network.onnx")(example["images"])
    torch.testing.assert_close(found, example["model"](example["images"]), atol=1e-5, rtol=1e-5)


def test_an_8_bit_graph_has_8_bit_weights(example):
    int8 = squeezed.quantize("network.onnx", example["images"].numpy())
    stored = {
        constant.data_type
        for constant in int8.graph.initializer
        if len(constant.dims) > 1 and not constant.name.startswith("normalise")
    }
    assert stored == {onnx.TensorProto.INT8}


@pytest.mark.parametrize("settings", [{"iteration": 3}, {"iterations": 0}, {"method": "tickle"}])
def test_a_wrong_setting_is_one_sentence(example, settings):
    with pytest.raises(UserError) as error:
        squeezed.attack(example["model"], example["images"], example["labels"], **settings)
    assert "\n" not in str(error.value)
    assert "config.yaml" not in str(error.value)


def test_arrays_of_numpy_are_attacked_too(example):
    images, labels = example["images"].numpy(), example["labels"].numpy()
    settings = {"method": "carlini_wagner", "iterations": 5}
    found = squeezed.attack(example["model"], images, labels, **settings)
    assert found.best.shape == images.shape
    assert np.all(found.attackable.numpy())


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="squeezed has no 'tickle'"):
        _ = squeezed.tickle
    assert {"load", "attack", "quantize"} <= set(dir(squeezed))


def test_importing_the_package_is_light():
    program = "import sys, squeezed; print({'torch', 'numpy', 'onnx'} & sys.modules.keys())"
    run = [sys.executable, "-c", program]
    said = subprocess.run(run, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
