"""From an attack's section of the configuration to what runs it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from squeezed.attacks.attacked import Attacked, Judge
from squeezed.attacks.method import load_method, read_method_settings
from squeezed.attacks.outcome import Table, image_table
from squeezed.attacks.stored_attack import StoredAttack
from squeezed.attacks.victim import Victim
from squeezed.data.dataset import Split
from squeezed.foundation.errors import UserError
from squeezed.foundation.precision import usable_precision
from squeezed.foundation.settings import read_settings

TABLE_PREFIX = "table."
BATCHES_OF_A_UNIT = 4
"""Batches of a victim that a unit of work fills at first.

An image that is done early makes room for another one of its unit, so units of a single batch would
leave ever more of it empty.
"""


@dataclass(frozen=True)
class AttackSettings:
    """What the attacks of all methods are configured by."""

    method: str
    """The module of the method, by its name."""
    images: int
    images_seed: int
    batch_size: int
    target: str
    """`untargeted` or `next_class`."""
    straight_through: bool
    precision: str


@dataclass(frozen=True)
class ConfiguredAttack:
    """One attack of the configuration, ready to run."""

    settings: AttackSettings
    method_settings: Any
    """The method's own, a frozen dataclass."""

    def victim(self, model: nn.Module, device: torch.device, images: int | None = None) -> Victim:
        """Return a model, such as a variant's twin, made ready for this attack.

        Args:
            model: as `Victim` takes it.
            device: where to compute.
            images: how many will be attacked, where these are fewer than the attack's own.
        """
        return Victim(
            model,
            device=device,
            precision=usable_precision(self.settings.precision, device),
            straight_through=self.settings.straight_through,
            images=min(self.settings.images, images or self.settings.images),
        )

    def targets(self, labels: Tensor, classes: int) -> Tensor | None:
        """Return a target for each image, or None for an untargeted attack."""
        return (labels + 1) % classes if self.settings.target == "next_class" else None

    def unit(self, victim: Victim, image_shape: torch.Size) -> int:
        """Return how many images of shape (C, H, W) are one unit of work, saved when it is done.

        No result depends on it: a victim's batches have one shape however many images there are.
        """
        return min(self.settings.batch_size, BATCHES_OF_A_UNIT * victim.rows(image_shape))

    @property
    def takes_starts(self) -> bool:
        """Whether the attack begins with what fools another model, too."""
        return bool(getattr(self.method_settings, "transferred", False))

    @property
    def smooths(self) -> bool:
        """Whether it, or a part of it, follows gradients that are averaged over noise."""
        smoothed = getattr(self.method_settings, "smoothed", self.method_settings)
        return self.settings.straight_through and getattr(smoothed, "noise_draws", 0) > 0

    def doubled(self) -> "ConfiguredAttack":
        """Return the same attack with twice the steps."""
        return replace(self, method_settings=self.method_settings.doubled())

    def run(
        self,
        victim: Victim,
        images: Tensor,
        labels: Tensor,
        *,
        targets: Tensor | None = None,
        judge: Judge | None = None,
        starts: Tensor | None = None,
    ) -> Attacked:
        """Attack images with the configured method (see there).

        `starts`, float32 (n, C, H, W), what fools another model, is for methods whose setting
        `transferred` asks for it; others are not given it.
        """
        method = load_method(self.settings.method)
        more = {"starts": starts} if self.takes_starts else {}
        return method(
            victim, images, labels, self.method_settings, targets=targets, judge=judge, **more
        )


def read_attack(section: Mapping[str, Any]) -> ConfiguredAttack:
    """Read an attack's complete section, without the choice of its variants.

    Raises:
        UserError: if there is no such method, or its settings mean nothing.
        ValueError: if a key lacks or is unknown, or a value is of another type.
    """
    common = {name: section[name] for name in AttackSettings.__dataclass_fields__}
    own = {name: value for name, value in section.items() if name not in common}
    settings = read_settings(AttackSettings, common)
    return ConfiguredAttack(settings, read_method_settings(settings.method, own))


def changed_section(
    section: Mapping[str, Any], variation: str, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an attack's section with single settings changed.

    Args:
        section: complete, without the choice of variants.
        variation: what the changes are called.
        changes: keys of the section and their new values.

    Raises:
        UserError: if the attack has no such key.
    """
    unknown = sorted(set(changes) - set(section))
    if unknown:
        raise UserError(
            f"config.yaml: attack_variations.changes.{variation} has the key {unknown[0]!r}, which "
            f"an attack of method {section['method']} has not; choose from "
            f"{', '.join(sorted(section))}"
        )
    return {**section, **changes}


def attack_images(
    attack: ConfiguredAttack,
    victim: Victim,
    split: Split,
    indices: NDArray[np.integer],
    classes: int,
    baseline: StoredAttack | None = None,
) -> dict[str, Tensor]:
    """Attack the images of a split with these indices, shape (n,).

    Args:
        attack: the configured one.
        victim: the variant.
        split: of the data set.
        indices: (n,), of the images in the split.
        classes: how many there are.
        baseline: the same attack on the baseline, whose images are where this one begins, too.

    Returns:
        `best` and `last` (n, C, H, W) as the method gives them, and each column of `image_table`
        under its name with `table.` before it.

    Raises:
        UserError: if the baseline was attacked on other images.
    """
    images = torch.from_numpy(split.images(indices))
    labels = torch.from_numpy(split.labels[indices])
    targets = attack.targets(labels, classes)
    starts = None if baseline is None else baseline.images_of(indices)
    attacked = attack.run(victim, images, labels, targets=targets, starts=starts)
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
