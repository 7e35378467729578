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
from squeezed.foundation.files import user_path
from squeezed.networks.state import load_state

logger = logging.getLogger(__name__)

# What wrappers put before each name: DataParallel, Lightning and the like, torch.compile.
PREFIXES = ("module.", "model.", "_orig_mod.")
# Heads that torchvision's GoogLeNet and Inception are trained with, and not used by.
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")

# Where training scripts put the state dictionary inside of a checkpoint.
STATE_KEYS = ("state_dict", "model_state_dict", "model")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Read a state dictionary: a `.safetensors` file, or a checkpoint of torch (`.pth`, `.pt`).

    A checkpoint that holds more than tensors, numbers and text is refused: unpickling it could run
    code.

    Raises:
        UserError: if there is no such file, it cannot be read, or it holds no state dictionary.
    """
    path = user_path(str(path))
    if not path.is_file():
        raise UserError(f"there is no {path}: correct the architecture's `weights`")
    try:
        if path.suffix == ".safetensors":
            return _plain(load_file(path))
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
    return _plain({str(name): value for name, value in content.items()})


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off what wrappers and torch.nn.utils.prune add to a state dictionary."""
    plain = dict(state)
    while plain and any(all(name.startswith(each) for name in plain) for each in PREFIXES):
        # One prefix is of all names, and it ends at the first full stop.
        plain = {name.partition(".")[2]: value for name, value in plain.items()}
    for name in list(plain):
        if name.endswith("_orig") and f"{name.removesuffix('_orig')}_mask" in plain:
            own_name = name.removesuffix("_orig")
            plain[own_name] = plain.pop(name) * plain.pop(f"{own_name}_mask")
    return plain


def load_weights(
    network: nn.Module, state: Mapping[str, Tensor], origin: str, *, trained: bool
) -> None:
    """Load `state` into `network`.

    Args:
        network: whose last layer is the only one that may not fit.
        state: as `read_state` returns it.
        origin: where it is from, for messages.
        trained: whether training follows: then a last layer for other classes keeps its random
            weights.

    Raises:
        UserError: if something does not fit, or a weight is NaN or infinite.
    """
    own = network.state_dict()
    state = {n: v for n, v in state.items() if n in own or not n.startswith(AUXILIARY)}
    # Files of old versions of PyTorch do not count batches.
    state |= {n: v for n, v in own.items() if n.endswith("num_batches_tracked") and n not in state}
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
    if misfits and not trained:
        raise UserError(
            f"the last layer of {origin}, {last}, is for {len(state[misfits[-1]])} classes and the "
            f"data set has {len(own[misfits[-1]])}: train a new one (`training` with `epochs`), or "
            "take other weights"
        )
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"the weights of {origin} cannot be used: {name} holds NaN or infinity")
    if misfits:
        logger.info("the last layer, %s, is new: %s has other classes", last, origin)
    load_state(network, {name: own[name] if name in misfits else state[name] for name in own})
