"""The figures of published pairs, on the files and images that they were measured on.

They are in the folder that SQUEEZED_TEST_DATA names; without it these tests are skipped.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import version_converter
from PIL import Image
from safetensors.torch import load_file

from squeezed.comparison.comparison import compare
from squeezed.comparison.pair import Reading, open_together
from squeezed.comparison.pictures import pictures_of
from squeezed.graphs.foreign.preprocessing import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
)
from squeezed.networks.resnet_cifar import ResNetCifar
from tests.foreign.test_tools import require
from tests.foreign.tools import TOOLS, export

DATA = Path(os.environ.get("SQUEEZED_TEST_DATA", "nowhere"))
PRETRAINED = DATA / "pretrained"
EXACT = DATA / "cifar10-lossless-test.zip"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PRETRAINED.is_dir(), reason="SQUEEZED_TEST_DATA names no folder with pretrained/"
    ),
]


@pytest.mark.parametrize(
    ("original", "compressed", "accuracies", "changes", "ties"),
    [
        ("pretrainedResnet.tflite", "pretrainedResnet_quant.tflite",
         (0.8800, 0.8771), (24, 11, 8), 5),
        pytest.param(
            "pretrainedResnet_large_float.tflite", "pretrainedResnet_large_int8.tflite",
            (0.9125, 0.9125), (10, 5, 5), 6, marks=pytest.mark.matrix,
        ),
    ],
)  # fmt: skip
def test_mlperf_tinys_resnets(original, compressed, accuracies, changes, ties):
    pytest.importorskip("ai_edge_litert")
    found = compare(PRETRAINED / original, PRETRAINED / compressed, EXACT, range=(0, 255))
    got = [found.value(f"accuracy_{which}")["value"] for which in ("original", "compressed")]
    assert got == pytest.approx(accuracies, abs=5e-5)
    counts = tuple(int(found.value(kind)["count"]) for kind in ("changed", "broken", "fixed"))
    assert counts == changes
    assert int(found.value("ties_compressed")["count"]) == ties
    assert found.preprocessing_check.better is None


def test_a_wrong_preprocessing_of_theirs_is_said():
    pytest.importorskip("ai_edge_litert")
    path = PRETRAINED / "pretrainedResnet.tflite"
    found = compare(path, path, EXACT, limit=200)
    assert "pixels from 0 to 255, RGB is right on" in found.sentences[0]


@pytest.mark.parametrize(("name", "accuracy"), [("resnet_2b", 0.7040), ("resnet_4b", 0.7729)])
def test_adversarially_trained_resnets(name, accuracy):
    path = PRETRAINED / f"{name}.onnx"
    found = compare(path, path, EXACT, mean=CIFAR10_MEAN, std=CIFAR10_STD)
    assert found.value("accuracy_original")["value"] == pytest.approx(accuracy, abs=5e-5)


# Changed, broken and fixed of the 1,017 images; half a point, as below.
@pytest.mark.parametrize(
    ("name", "layers", "accuracy", "changes"),
    [("resnet_2b", 8, 0.7060, (18, 5, 7)), ("resnet_4b", 13, 0.7738, (19, 7, 8))],
)
def test_adversarially_trained_resnets_in_8_bits(name, layers, accuracy, changes, tmp_path):
    """Opset 9, whose graphs no quantizer takes: theirs is brought to 17 first, as users would."""
    newer, original = tmp_path / "opset17.onnx", PRETRAINED / f"{name}.onnx"
    onnx.save(version_converter.convert_version(onnx.load(original), 17), newer)
    images = _training_images(100, Preprocessing(mean=CIFAR10_MEAN, std=CIFAR10_STD))
    TOOLS["onnxruntime-qdq"](None, newer, tmp_path / "int8.onnx", images)
    found = compare(original, tmp_path / "int8.onnx", EXACT, mean=CIFAR10_MEAN, std=CIFAR10_STD)
    assert found.value("accuracy_compressed")["value"] == pytest.approx(accuracy, abs=0.005)
    for kind, count in zip(("changed", "broken", "fixed"), changes, strict=True):
        assert found.value(kind)["value"] == pytest.approx(count / 1017, abs=0.005)
    assert found.files["layers_stored_in_float"].tolist() == [layers, 0]
    assert len(found.divergence) == layers


def test_their_graph_has_a_free_batch():
    pictures = pictures_of(EXACT, limit=8)
    preprocessing = Preprocessing(mean=CIFAR10_MEAN, std=CIFAR10_STD)
    (model,), _ = open_together(
        [PRETRAINED / "resnet_2b.onnx"], pictures, Reading(preprocessing), 1
    )
    assert model.core.signature.batch == 1
    assert model.graph().graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"


@pytest.mark.matrix
def test_mobilenets_thousand_and_one_classes():
    pytest.importorskip("ai_edge_litert")
    archive = DATA / "imagenet1000.zip"
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".JPEG"))
        pixels = np.stack([_cropped(opened, name) for name in names])
    pictures = pictures_of(pixels, np.arange(1000))
    reading = Reading(Preprocessing(), outputs=str(PRETRAINED / "imagenet_labels.txt"))
    path = PRETRAINED / "mobilenet_v2_1.0_224_quant.tflite"
    (model,), _ = open_together([path], pictures, reading, 2)
    assert len(model.outputs.order) == 1000
    logits = np.concatenate([model.logits(images) for _, images in pictures.batches(50)])
    assert (logits.argmax(axis=1) == np.arange(1000)).mean() == pytest.approx(0.8720, abs=5e-5)
    top = np.sort(logits, axis=1)
    assert (top[:, -1] == top[:, -2]).sum() == 8


def _cropped(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Return the middle 224 × 224 as the published figures took it."""
    with archive.open(name) as file:
        image = Image.open(file).convert("RGB")
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1)


def _resnet(name: str, depth: int, folder: Path) -> tuple[ResNetCifar, Path]:
    network = ResNetCifar(10, depth)
    tensors = load_file(PRETRAINED / name)
    lacking, _ = network.load_state_dict(tensors, strict=False)
    assert all(key.endswith("num_batches_tracked") for key in lacking)
    export(network.eval(), folder / "float.onnx", (32, 32))
    return network, folder / "float.onnx"


def _training_images(count: int, preprocessing: Preprocessing) -> np.ndarray:
    """Return training images, as many of each class, normalised as a network wants them."""
    with zipfile.ZipFile(DATA / "cifar10.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/train/" in name and "." in name)
        chosen = names[:: len(names) // count][:count]
        pixels = np.stack([np.asarray(Image.open(archive.open(n))) for n in chosen])
    images = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    return preprocessing.apply(images)


# What was measured with each tool's file; half a point, since other processors and versions round
# otherwise.
@pytest.mark.parametrize(
    ("depth", "name", "tool", "accuracies", "changed"),
    [
        (20, "resnet20-12fca82f", "onnxruntime-qdq", (0.9164, 0.9154), 9),
        pytest.param(
            20, "resnet20-12fca82f", "nncf", (0.9164, 0.9213), 14, marks=pytest.mark.matrix
        ),
        pytest.param(
            20, "resnet20-12fca82f", "torchao", (0.9164, 0.9115), 7, marks=pytest.mark.matrix
        ),
        pytest.param(
            56, "resnet56-4bfd9763", "onnxruntime-qdq", (0.9272, 0.9282), 7,
            marks=pytest.mark.matrix,
        ),
    ],
)  # fmt: skip
def test_resnets_in_8_bits_of_real_tools(depth, name, tool, accuracies, changed, tmp_path):
    require(tool)
    network, original = _resnet(f"{name}.safetensors", depth, tmp_path)
    images = _training_images(100, Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD))
    TOOLS[tool](network, original, tmp_path / "int8.onnx", images)
    found = compare(original, tmp_path / "int8.onnx", EXACT, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    before, after = accuracies
    assert found.value("accuracy_original")["value"] == pytest.approx(before, abs=5e-5)
    assert found.value("accuracy_compressed")["value"] == pytest.approx(after, abs=0.005)
    assert found.value("changed")["value"] == pytest.approx(changed / 1017, abs=0.005)
    assert found.files["layers_stored_in_float"].tolist() == [depth, 0]
    assert len(found.divergence) == depth
