"""A small trained network, and what real compression tools make of it: one function for each tool.

Each writes its file from the network in PyTorch, from that network's ONNX file, or both. NNCF and
torchao are no dependencies of the project; `PEERS` says what brings them.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from torch import nn

SIZE = (16, 20)
CLASSES = 6
Images = np.ndarray


class Block(nn.Module):
    """A residual block with a depthwise convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.pointwise(torch.relu(self.norm(self.depthwise(x)))))


def network() -> nn.Sequential:
    """Return an untrained network from images (n, 3, 16, 20) to 6 logits."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        Block(16),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, CLASSES),
    )


def examples(n: int, seed: int) -> tuple[Images, np.ndarray]:
    """Return images in [0, 1] in 256 levels, a pattern for each class under noise, and labels."""
    patterns = np.random.default_rng(0).random((CLASSES, 3, 4, 5))
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, n)
    large = patterns[labels].repeat(4, axis=2).repeat(4, axis=3)
    noisy = (large + random.normal(0, 0.45, large.shape)).clip(0, 1)
    return (np.rint(noisy * 255) / 255).astype(np.float32), labels


def trained() -> nn.Sequential:
    """Return the network after a few seconds of training."""
    torch.manual_seed(0)
    made = network()
    images, labels = map(torch.from_numpy, examples(400, 1))
    optimiser = torch.optim.Adam(made.parameters(), 1e-2)
    for _ in range(8):
        for part in torch.randperm(len(images)).split(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(made(images[part]), labels[part]).backward()
            optimiser.step()
    return made.eval()


def export(made: nn.Module, path: Path, size: tuple[int, int] = SIZE) -> None:
    """Write the network's ONNX file as PyTorch's older exporter does, with a free batch."""
    torch.onnx.export(
        made,
        (torch.zeros(1, 3, *size),),
        str(path),
        opset_version=17,
        dynamo=False,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "n"}, "output": {0: "n"}},
    )


class Reader(CalibrationDataReader):
    """Gives ONNX Runtime's quantizer one image after the other."""

    def __init__(self, images: Images, source: Path) -> None:
        self.name = onnx.load(source).graph.input[0].name
        self.images = iter(images[:, None])

    def get_next(self) -> dict[str, Images] | None:
        image = next(self.images, None)
        return None if image is None else {self.name: image}


def onnxruntime_static(format: QuantFormat) -> Callable[[nn.Module, Path, Path, Images], None]:
    """Return ONNX Runtime's static quantizer."""

    def quantize(made: nn.Module, source: Path, target: Path, images: Images) -> None:
        quantize_static(
            source, target, Reader(images, source), quant_format=format, per_channel=True,
            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
        )  # fmt: skip

    return quantize


def onnxruntime_dynamic(made: nn.Module, source: Path, target: Path, images: Images) -> None:
    """ONNX Runtime's quantizer without calibration."""
    quantize_dynamic(source, target, weight_type=QuantType.QInt8)


def nncf(made: nn.Module, source: Path, target: Path, images: Images) -> None:
    """NNCF's post-training quantization of an ONNX file."""
    import nncf as tool

    dataset = tool.Dataset(list(images[:, None]), lambda image: {"input": image})
    onnx.save(tool.quantize(onnx.load(source), dataset, subset_size=len(images)), target)


def torchao(made: nn.Module, source: Path, target: Path, images: Images) -> None:
    """PyTorch's PT2E quantization in torchao, exported by PyTorch's newer exporter."""
    from torchao.quantization import pt2e
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    example = (torch.from_numpy(images[:2]),)
    free = ({0: torch.export.Dim("n", min=1, max=4096)},)
    program = torch.export.export(copy.deepcopy(made), example, dynamic_shapes=free)
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(program.module(), quantizer)
    with torch.no_grad():
        prepared(torch.from_numpy(images))
    converted = pt2e.move_exported_model_to_eval(convert_pt2e(prepared))
    torch.onnx.export(
        converted, example, str(target), dynamo=True, dynamic_shapes=free,
        input_names=["input"], output_names=["output"], verbose=False,
    )  # fmt: skip


def torch_pruning(made: nn.Module, source: Path, target: Path, images: Images) -> None:
    """torch-pruning removes a quarter of the channels, those with the smallest weights."""
    import torch_pruning as tool

    cut = copy.deepcopy(made)
    for parameter in cut.parameters():
        parameter.requires_grad_(True)
    last = [module for module in cut.modules() if isinstance(module, nn.Linear)]
    pruner = tool.pruner.MagnitudePruner(
        cut,
        torch.from_numpy(images[:1]),
        importance=tool.importance.MagnitudeImportance(p=2),
        pruning_ratio=0.25,
        ignored_layers=last,
    )
    pruner.step()
    export(cut.eval(), target, tuple(images.shape[2:]))


TOOLS: dict[str, Callable[[nn.Module, Path, Path, Images], None]] = {
    "onnxruntime-qdq": onnxruntime_static(QuantFormat.QDQ),
    "onnxruntime-qoperator": onnxruntime_static(QuantFormat.QOperator),
    "onnxruntime-dynamic": onnxruntime_dynamic,
    "nncf": nncf,
    "torchao": torchao,
    "torch-pruning": torch_pruning,
}
"""Each takes the network, its ONNX file, the file to write, and calibration images."""

PEERS = {"nncf": "requirements-nncf.txt", "torchao": "requirements-peers.txt"}
"""Tools that are test requirements, and the file that pins each."""
