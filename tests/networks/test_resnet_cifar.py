"""CIFAR's ResNets: as published, with the names of their published weights."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.networks import build_network
from squeezed.networks.classifier import Classifier
from squeezed.networks.pretrained import load_weights, read_state
from squeezed.networks.resnet_cifar import ZeroPadShortcut

# What the published weights were trained with.
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def resnet(depth=20, **arguments):
    arguments = {"depth": depth, **arguments}
    return build_network("resnet_cifar", num_classes=10, image_size=(32, 32), arguments=arguments)


@pytest.mark.parametrize(("depth", "parameters"), [(20, 269_722), (56, 853_018)])
def test_as_many_parameters_as_published(depth, parameters):
    assert sum(p.numel() for p in resnet(depth).parameters()) == parameters


@pytest.mark.parametrize("arguments", [{"depth": 18}, {"depth": 2}, {"width": 1}])
def test_other_depths_are_refused(arguments):
    with pytest.raises(UserError, match="6n"):
        resnet(**arguments)


def test_unknown_arguments_are_refused():
    with pytest.raises(UserError, match=r"architecture resnet_cifar: .*height"):
        resnet(height=3)


def test_option_a_is_its_closed_form():
    values = torch.randn(2, 4, 6, 5)
    found = ZeroPadShortcut(4, 8, 2)(values)
    expected = torch.zeros(2, 8, 3, 3)
    expected[:, 2:6] = values[:, :, ::2, ::2]
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [([0, 1, 2, 3], [2, 3, 4, 5]), ([1, 3], [0, 2, 3, 5, 7]), ([2], [0, 1]), ([0, 2], [2, 4, 6])],
)
def test_a_smaller_shortcut_is_a_part_of_the_whole(inputs, outputs):
    values = torch.randn(2, 4, 6, 6)
    whole = ZeroPadShortcut(4, 8, 2)
    silent = values.clone()
    silent[:, [c for c in range(4) if c not in inputs]] = 0
    expected = whole(silent)[:, outputs]
    smaller = ZeroPadShortcut(4, 8, 2)
    smaller.keep(inputs, outputs)
    assert torch.equal(smaller(values[:, inputs]), expected)
    assert not smaller.state_dict(), "nothing of it is in a file"


def test_activations_are_modules_of_their_own():
    names = [name for name, m in resnet().named_modules() if isinstance(m, nn.ReLU)]
    assert len(names) == 1 + 2 * 9


@pytest.fixture
def published():
    folder = os.environ.get("SQUEEZED_TEST_DATA")
    if not folder:
        warnings.warn("SQUEEZED_TEST_DATA is not set: published weights not tested", stacklevel=1)
        pytest.skip("SQUEEZED_TEST_DATA names no folder with pretrained/ and CIFAR-10 images")
    return Path(folder)


@pytest.mark.parametrize("suffix", ["safetensors", "th"])
def test_the_published_weights_load(published, suffix, tmp_path):
    path = published / "pretrained" / f"resnet20-12fca82f.{suffix}"
    network = resnet()
    load_weights(network, read_state(path), str(path), trained=False)
    reference = load_file(path.with_suffix(".safetensors"))
    assert all(torch.equal(network.state_dict()[n], tensor) for n, tensor in reference.items())


def test_the_published_accuracy(published, tmp_path):
    """91.64 % of the first 1,017 test images, as pretrained/README.md has it."""
    import zipfile

    path = published / "pretrained" / "resnet20-12fca82f.safetensors"
    network = resnet()
    load_weights(network, read_state(path), str(path), trained=False)
    model = Classifier(network, MEAN, STD).eval()
    pixels, labels = [], []
    with zipfile.ZipFile(published / "cifar10-lossless-test.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".png"))
        classes = sorted({Path(n).parent.name for n in names})
        for name in names:
            with archive.open(name) as file:
                pixels.append(np.asarray(Image.open(file).convert("RGB")))
            labels.append(classes.index(Path(name).parent.name))
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        correct = (model(images).argmax(1) == torch.tensor(labels)).float().mean()
    assert len(labels) == 1017
    assert float(correct) == pytest.approx(0.9164, abs=0.002)
