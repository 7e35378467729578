"""Networks as ONNX files, made by PyTorch's exporter and ONNX Runtime's quantizer."""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

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

from tests.graphs.twin.graphs import images

CLASSES = 10


class Normalised(nn.Module):
    """A network that normalises its images itself."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.25, 0.3]).view(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network((x - self.mean) / self.std)


class TinyResidual(nn.Module):
    """Two residual blocks, one with a strided shortcut."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.down = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.shortcut = nn.Conv2d(width, 2 * width, 1, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Sequential(nn.Linear(2 * width, 16), nn.ReLU(), nn.Linear(16, CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stem(x))
        x = torch.relu(x + self.block(x))
        x = torch.relu(self.down(x) + self.shortcut(x))
        return self.head(x.mean((2, 3)))


def network(name: str, size: int) -> nn.Module:
    """A network of random weights whose batch norms have seen images."""
    import torchvision

    torch.manual_seed(0)
    if name == "tiny_residual":
        made: nn.Module = TinyResidual()
    else:
        settings: dict[str, Any] = {"num_classes": CLASSES}
        if name in ("googlenet", "inception_v3"):
            settings |= {"aux_logits": False, "init_weights": False}
        made = getattr(torchvision.models, name)(**settings)
    if name.startswith("vit"):
        nn.init.normal_(made.heads.head.weight, std=0.05)  # which torchvision leaves at zero
    model = Normalised(made)
    model.train()
    with torch.no_grad():
        for seed in range(3):
            model(torch.from_numpy(images(8, 3, size, size, seed=seed)))
    return model.eval()


def exported(model: nn.Module, size: int, opset: int = 18) -> onnx.ModelProto:
    """What PyTorch's exporter makes of it, for any number of images."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (torch.zeros(2, 3, size, size),),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},),
        )
    assert program is not None
    return program.model_proto


class Calibration(CalibrationDataReader):
    """A few batches of random images."""

    def __init__(self, size: int) -> None:
        self.batches = iter([{"images": images(4, 3, size, size, seed=seed)} for seed in range(4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def quantized(model: onnx.ModelProto, how: str, size: int) -> onnx.ModelProto:
    """What ONNX Runtime's quantizer makes of it: `QDQ` or `QOperator`, `tensor` or `channel`."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, before)
        logging.disable(logging.WARNING)
        try:
            if how == "dynamic":
                quantize_dynamic(before, after, weight_type=QuantType.QInt8)
            else:
                form, granularity = how.split("-")
                quantize_static(
                    before,
                    after,
                    Calibration(size),
                    quant_format=QuantFormat[form],
                    per_channel=granularity == "channel",
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                )
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(after)
