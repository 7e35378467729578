"""The two engines of a quantized model, on real images and trained weights.

Stated and tested: the same top-1 on at least 99.9 % of the images, and no logit apart by more than
2 % of the logits' range. What is apart is so because a value fell on the border between two of the
256 steps: PyTorch adds products in float32, ONNX Runtime in int32. (VGG-6 on the 10,000 test images
of CIFAR-10: 99.98 % and 0.8 %.)
"""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from squeezed.data import open_dataset
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.graphs.engine import Engine
from squeezed.graphs.export import export_onnx
from squeezed.graphs.integer_weights import prepare_weights
from squeezed.networks import VGG6, Classifier
from squeezed.networks.network_file import ModelCard
from squeezed.networks.vgg6 import initialise_vgg6
from squeezed.steps.quantization import quantize_linear_layers, quantize_model
from squeezed.training.loop import train
from tests.steps.test_pruning_search import RECOVERY

SIZE = (16, 16)
LOGIT_BOUND = 0.02
BATCH = 100


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """scikit-learn's 1,797 digits, 16×16."""
    bunch = load_digits()
    large = (bunch.images * 15).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    pixels = np.repeat(large[:, None], 3, axis=1)
    labels = bunch.target.astype(np.int64)
    parts = {"train": slice(0, 700), "validation": slice(700, 800), "test": slice(800, None)}
    path = tmp_path_factory.mktemp("data") / "digits.safetensors"
    write_tensor_dataset(
        path,
        name="digits",
        class_names=[str(k) for k in range(10)],
        splits={name: (pixels[part], labels[part]) for name, part in parts.items()},
        source={},
    )
    return open_dataset(path)


@pytest.fixture(scope="module")
def trained(digits):
    """A narrow VGG-6 that reads most digits."""
    network = VGG6(10, SIZE, widths=(8, 8, 16, 16, 24, 32), hidden_features=(48, 32))
    initialise_vgg6(network, torch.Generator().manual_seed(0))
    model = Classifier(network, digits.mean, digits.std)
    result = train(model, digits, {**RECOVERY, "epochs": 4, "learning_rate": 0.05}, seed=0)
    assert result.validation_accuracy > 0.8
    return model


@pytest.mark.parametrize("scheme", ["static", "centred", "dynamic"])
def test_the_same_predictions_and_nearly_the_same_logits(scheme, digits, trained, tmp_path):
    calibration = [torch.from_numpy(digits.train.images(np.arange(256)))]
    if scheme == "dynamic":
        model, description = quantize_linear_layers(trained)
    else:
        model, description = quantize_model(trained, calibration, centred=scheme == "centred")
    card = ModelCard("vgg6", {}, SIZE, digits.class_names, digits.mean, digits.std, scheme, 0)
    path = tmp_path / "model.onnx"
    export_onnx(path, model, dataclasses.replace(card, quantization=description))
    engine = Engine(prepare_weights(path, tmp_path / "fast"), threads=1)
    batches = [images for images, _ in digits.test.batches(BATCH)]
    deployed = np.concatenate([engine.logits(images) for images in batches])
    with torch.no_grad():
        reference = np.concatenate([model(torch.from_numpy(i)).numpy() for i in batches])
    assert len(reference) == 997
    assert (reference.argmax(1) == deployed.argmax(1)).mean() >= 0.999
    assert np.abs(reference - deployed).max() <= LOGIT_BOUND * np.ptp(reference)
    # And 8 bits cost little on trained weights.
    with torch.no_grad():
        original = np.concatenate([trained(torch.from_numpy(i)).numpy() for i in batches])
    accuracy = (original.argmax(1) == digits.test.labels).mean()
    assert (deployed.argmax(1) == digits.test.labels).mean() >= accuracy - 0.02
