"""Weights from elsewhere: read without running code, fitted to a network."""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from squeezed.foundation.errors import UserError, first_line

logger = logging.getLogger(__name__)

# Where training scripts put the state dictionary inside of a checkpoint.
STATE_KEYS = ("state_dict", "model_state_dict", "model")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Read a state dictionary: a `.safetensors` file, or a checkpoint of torch (`.pth`, `.pt`).

    A checkpoint that holds more than tensors, numbers and text is refused: unpickling it could run
    code.

    Raises:
        UserError: if there is no such file, it cannot be read, or it holds no state dictionary.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"there is no {path}: correct the architecture's `weights`")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is damaged, or holds more than weights and could run code: refused; save its "
            "state dictionary alone"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({first_line(error)})") from error
    for key in STATE_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise UserError(f"{path} holds no state dictionary")
    # Saved from nn.DataParallel, every name begins with "module.".
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def load_weights(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load `state` into `network`; a last layer for other classes keeps its random weights.

    Args:
        network: whose last layer is the only one that may not fit.
        state: as `read_state` returns it.
        origin: where it is from, for messages.

    Raises:
        UserError: if anything but the last layer does not fit.
    """
    own = network.state_dict()
    lacking, surplus = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    misfits = [name for name in own if name in state and own[name].shape != state[name].shape]
    last = list(own)[-1].rpartition(".")[0]
    foreign = [name for name in misfits if name.rpartition(".")[0] != last]
    if lacking or surplus or foreign:
        what = (
            f"it lacks {lacking[0]}"
            if lacking
            else f"it holds {surplus[0]}, which the network has not"
            if surplus
            else f"{foreign[0]} is {tuple(state[foreign[0]].shape)} instead of "
            f"{tuple(own[foreign[0]].shape)}"
        )
        raise UserError(f"the weights of {origin} do not fit the architecture: {what}")
    if misfits:
        logger.info("the last layer, %s, is new: %s has other classes", last, origin)
    network.load_state_dict({name: own[name] if name in misfits else state[name] for name in own})
