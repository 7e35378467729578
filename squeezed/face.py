"""The public face: what a notebook needs, over files and arrays. `squeezed.load` and so on find it.

The examples below are run by the tests, with a network of three classes in `network.onnx`.
"""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from squeezed.attacks.attacked import Attacked
from squeezed.attacks.configured import read_attack
from squeezed.comparison.comparison import compare
from squeezed.configuration.completion import (
    THOROUGH,
    complete_section,
    default_of,
    load_schema,
)
from squeezed.data.array_split import ArraySplit
from squeezed.foundation.device import resolve_device
from squeezed.foundation.errors import UserError
from squeezed.foundation.settings import read_settings
from squeezed.graphs.graph_file import read_graph
from squeezed.graphs.twin import load_twin
from squeezed.networks.network_file import load_network
from squeezed.steps.quantize import QuantizeSettings
from squeezed.steps.quantize import quantize as quantize_graph
from squeezed.steps.step import Workshop

__all__ = ["attack", "compare", "load", "quantize"]

SCHEMA = Path(__file__).parent.parent / "config.schema.yaml"


def load(path: str | Path) -> nn.Module:
    """Load a variant as a differentiable module: images in [0, 1] to logits.

    Args:
        path: a graph (`.onnx`, ours or any classifier's) or a network (`.safetensors`, ours).

    Returns:
        In evaluation mode, on the CPU: of images (n, C, H, W), float32, logits (n, classes).

    Raises:
        UserError: if the file cannot be read, or has an operator that the twin does not know.

    >>> model = squeezed.load("network.onnx")
    >>> model(images).shape
    torch.Size([4, 3])
    """
    if Path(path).suffix == ".safetensors":
        return load_network(path)[0]
    return load_twin(path)


def attack(
    model: nn.Module,
    images: Tensor | NDArray[np.float32],
    labels: Tensor | NDArray[np.int64],
    *,
    targets: Tensor | None = None,
    device: str = "cpu",
    **settings: Any,
) -> Attacked:
    """Look for the smallest change of each image that changes its class.

    Args:
        model: images in [0, 1] to logits, in evaluation mode; `load` returns one.
        images: shape (n, C, H, W), in [0, 1].
        labels: shape (n,), the true classes. What is classified wrongly is left alone.
        targets: shape (n,), a class for each image to be taken for; left out: any other.
        device: `cpu`, `cuda` or `auto`.
        settings: keys of an attack in config.schema.yaml, over those of the strong attack there,
            an ensemble, at the effort `thorough`; with another `method`, over that method's own.

    Raises:
        UserError: if images, labels or settings are not what they must be.

    >>> found = squeezed.attack(model, images, labels, carlini_wagner={"search_steps": 3})
    >>> bool(found.success.all())
    True
    >>> changed = (found.best - images).flatten(1).norm(dim=1)   # L2, in units of [0, 1]
    """
    strong = default_of(_schema_of("attacks"), THOROUGH)["strong"]
    if settings.get("method", strong["method"]) != strong["method"]:
        strong = {}
    strong = {**strong, "images": max(1, len(images))}  # a batch is no larger than that
    section = _complete({**strong, **settings}, load_schema(SCHEMA)["$defs"]["attack"])
    configured = read_attack({key: value for key, value in section.items() if key != "variants"})
    victim = configured.victim(model, resolve_device(device))
    return configured.run(
        victim,
        torch.as_tensor(images, dtype=torch.float32),
        torch.as_tensor(labels, dtype=torch.int64),
        targets=targets,
    )


def quantize(
    graph: onnx.ModelProto | str | Path, images: NDArray[np.float32], **settings: Any
) -> onnx.ModelProto:
    """Bring a graph to 8 bits.

    Args:
        graph: in float32, or its file, which is left as it is.
        images: to calibrate on, shape (n, C, H, W), in [0, 1]; not those that you will judge by.
        settings: keys of `quantization` in config.schema.yaml.

    Raises:
        UserError: if a layer cannot be quantized, or a setting is not what it must be.

    >>> int8 = squeezed.quantize("network.onnx", images.numpy(), granularity="channel")
    >>> onnx.save(int8, "network_int8.onnx")
    """
    section = _complete(settings, _schema_of("quantization"))
    parent = graph if isinstance(graph, onnx.ModelProto) else read_graph(graph)
    data: Any = SimpleNamespace(train=ArraySplit(images))
    workshop = Workshop(data, seed=0, device="cpu", threads=1, resume_path=None)
    return quantize_graph(parent, read_settings(QuantizeSettings, section), workshop).graph


def _schema_of(section: str) -> dict[str, Any]:
    found: dict[str, Any] = load_schema(SCHEMA)["$defs"]["experiment"]["properties"][section]
    return found


def _complete(settings: Mapping[str, Any], section: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return complete_section(
            settings, {}, section, "the settings", load_schema(SCHEMA), THOROUGH
        )
    except UserError as error:
        raise UserError(str(error).removeprefix("config.yaml: ")) from error
