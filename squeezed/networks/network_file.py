"""A model as one self-describing `.safetensors` file that runs no code when it is read.

The file holds the tensors, and in its header a `ModelCard`: all that is needed to build the model
again and to know how it was made. The same model gives the same bytes.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from squeezed.foundation.errors import UserError
from squeezed.foundation.files import atomic_path
from squeezed.networks import Classifier, build_network
from squeezed.networks.ablated import remove_last_convolutions
from squeezed.networks.quantized import add_quantized_structure

HEADER_KEY = "squeezed_model"


@dataclass
class ModelCard:
    """What a model file says of its model."""

    architecture: str
    arguments: dict[str, Any]
    """Further arguments of the architecture (`squeezed.networks.build_network`)."""
    image_size: tuple[int, int]
    class_names: list[str]
    mean: list[float]
    std: list[float]
    variant: str
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    """The parameters that the variant was made with."""
    parents: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file that the model was made from, by name."""
    ablated_convolutions: int = 0
    """How many of the last convolutions were removed (Algorithm 2)."""
    quantization: dict[str, Any] | None = None
    """Which layers are quantized, and how (`squeezed.networks.quantized.add_quantized_structure`);
    the integers, scales and zero points are tensors of the file."""


def save_model(path: str | Path, model: Classifier, card: ModelCard) -> None:
    """Write a model file, whole or not at all.

    Args:
        path: the `.safetensors` file.
        model: on any device; its state dict is stored as it is.
        card: describes `model`.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.network.state_dict().items()
    }
    header = json.dumps(dataclasses.asdict(card), sort_keys=True)
    with atomic_path(path) as temporary:
        # One metadata key: safetensors writes several in no fixed order.
        save_file(tensors, temporary, metadata={HEADER_KEY: header})


def read_card(path: str | Path) -> ModelCard:
    """Read what a model file says of its model, without its tensors.

    Raises:
        UserError: if the file is missing or is not a model file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            fields = json.loads((file.metadata() or {})[HEADER_KEY])
        height, width = fields["image_size"]
        return ModelCard(**{**fields, "image_size": (height, width)})
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise UserError(f"{path} is not a model file of squeezed ({error})") from error


def load_model(path: str | Path) -> tuple[Classifier, ModelCard]:
    """Read a model file; the model is in evaluation mode, on the CPU.

    Raises:
        UserError: if the file is missing, is not a model file, or its tensors do not fit.
    """
    card = read_card(path)
    network = build_network(
        card.architecture,
        num_classes=len(card.class_names),
        image_size=card.image_size,
        arguments=card.arguments,
    )
    if card.ablated_convolutions:
        remove_last_convolutions(network, card.ablated_convolutions, card.image_size)
    if card.quantization:
        add_quantized_structure(network, card.quantization)
    state = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (safe_open is no mapping)
            state[name] = file.get_tensor(name)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first_line = str(error).splitlines()[0]
        raise UserError(
            f"{path}: its tensors do not fit {card.architecture} ({first_line})"
        ) from error
    return Classifier(network, card.mean, card.std).eval(), card
