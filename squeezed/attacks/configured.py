"""From an attack's section of the configuration to what runs it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from squeezed.attacks.carlini_wagner import Protocol, carlini_wagner
from squeezed.attacks.outcome import Table, image_table
from squeezed.attacks.victim import Victim
from squeezed.data.dataset import Split
from squeezed.foundation.precision import usable_precision
from squeezed.networks import Classifier

TABLE_PREFIX = "table."


def protocol_of(settings: Mapping[str, Any]) -> Protocol:
    """Return the attack's protocol from its section (the keys are the protocol's fields)."""
    names = [field.name for field in dataclasses.fields(Protocol)]
    return Protocol(**{name: settings[name] for name in names})


def victim_of(model: Classifier, settings: Mapping[str, Any], device: torch.device) -> Victim:
    """Return the model made ready for the attack of this section."""
    return Victim(
        model,
        device=device,
        precision=usable_precision(settings["precision"], device),
        straight_through=settings["straight_through"],
    )


def targets_of(settings: Mapping[str, Any], labels: Tensor, classes: int) -> Tensor | None:
    """Return a target for each image, or None for an untargeted attack."""
    if settings["target"] == "next_class":
        return (labels + 1) % classes
    return None


def attack_images(
    victim: Victim,
    split: Split,
    indices: NDArray[np.integer],
    settings: Mapping[str, Any],
    classes: int,
) -> dict[str, Tensor]:
    """Attack the images of a split with these indices, shape (n,).

    Returns:
        `best` and `last` (n, C, H, W) as `carlini_wagner` gives them, and each column of
        `image_table` under its name with `table.` before it.
    """
    images = torch.from_numpy(split.images(indices))
    labels = torch.from_numpy(split.labels[indices])
    targets = targets_of(settings, labels, classes)
    attacked = carlini_wagner(victim, images, labels, protocol_of(settings), targets=targets)
    table = image_table(victim, images, labels, attacked, indices=indices, targets=targets)
    columns = {TABLE_PREFIX + name: torch.from_numpy(column) for name, column in table.items()}
    return {"best": attacked.best, "last": attacked.last, **columns}


def table_of(tensors: Mapping[str, Tensor]) -> Table:
    """Return the table inside what `attack_images` returned."""
    return {
        name.removeprefix(TABLE_PREFIX): tensor.numpy()
        for name, tensor in tensors.items()
        if name.startswith(TABLE_PREFIX)
    }
