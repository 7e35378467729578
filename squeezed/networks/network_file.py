"""A network as one self-describing `.safetensors` file that runs no code when it is read.

The file holds the tensors, and in its header a `NetworkCard`: all that is needed to build it again
and to know how it was made. The same network gives the same bytes. Nothing is ever unpickled.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from squeezed.foundation.errors import UserError, first_line
from squeezed.foundation.files import atomic_path
from squeezed.foundation.settings import read_settings
from squeezed.networks import Classifier, build_network
from squeezed.networks.edits import replay
from squeezed.networks.state import load_state

HEADER_KEY = "squeezed_network"


@dataclass(frozen=True)
class NetworkCard:
    """What a network file says of its network."""

    architecture: str
    arguments: dict[str, Any]
    """Further arguments of the architecture (`squeezed.networks.build_network`)."""
    image_size: tuple[int, int]
    class_names: list[str]
    mean: list[float]
    std: list[float]
    variant: str
    seed: int
    recipe: dict[str, Any] = field(default_factory=dict)
    """The step that made it and its settings."""
    parents: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file that the network was made from, by name."""
    edits: list[dict[str, Any]] = field(default_factory=list)
    """What was done to the architecture's structure, in order (`squeezed.networks.edits`)."""


def save_network(path: str | Path, model: Classifier, card: NetworkCard) -> None:
    """Write a network file, whole or not at all.

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


def read_card(path: str | Path) -> NetworkCard:
    """Read what a network file says of its network, without its tensors.

    Raises:
        UserError: if the file is missing or is not a network file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            fields = json.loads((file.metadata() or {})[HEADER_KEY])
        return read_settings(NetworkCard, fields)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise UserError(
            f"{path} is not a network file of squeezed ({first_line(error)})"
        ) from error


def build_described(card: NetworkCard) -> Classifier:
    """Build the network that a card describes, edits and all, with undefined weights.

    Raises:
        UserError: if there is no such architecture, or an edit does not fit it.
    """
    network = build_network(
        card.architecture,
        num_classes=len(card.class_names),
        image_size=card.image_size,
        arguments=card.arguments,
    )
    network = replay(network, card.edits, card.image_size)
    return Classifier(network, card.mean, card.std).eval()


def load_network(path: str | Path) -> tuple[Classifier, NetworkCard]:
    """Read a network file; the network is in evaluation mode, on the CPU.

    Raises:
        UserError: if the file is missing, is not a network file, or its tensors do not fit.
    """
    card = read_card(path)
    try:
        model = build_described(card)
    except UserError as error:
        raise UserError(f"{path} cannot be built again: {error}") from error
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it cannot be iterated)
    try:
        load_state(model.network, tensors)
    except RuntimeError as error:
        # Its first line names the class only.
        raise UserError(
            f"{path}: its tensors do not fit {card.architecture} ({first_line(error)})"
        ) from error
    return model, card
