"""Several attacks as one: for each image the nearest adversarial image that any of them found.

One attack fails for reasons of its own (a constant, a step length, the scale of the logits); what
several miss is missed for a reason of the model's. Both are made free of the logits' scale, and
what they find is brought to the boundary along a straight line.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from squeezed.attacks.attacked import Attacked, Judge
from squeezed.attacks.carlini_wagner import CarliniWagnerSettings, carlini_wagner
from squeezed.attacks.ddn import DDNSettings, ddn
from squeezed.attacks.line_search import nearest_on_line
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim


@dataclass(frozen=True)
class EnsembleSettings:
    """The attack's settings, as the configuration names them."""

    carlini_wagner: CarliniWagnerSettings
    ddn: DDNSettings

    def doubled(self) -> "EnsembleSettings":
        """Return the same settings with twice the steps of each member."""
        return replace(self, carlini_wagner=self.carlini_wagner.doubled(), ddn=self.ddn.doubled())


def ensemble(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    settings: EnsembleSettings,
    *,
    targets: Tensor | None = None,
    judge: Judge | None = None,
) -> Attacked:
    """Attack images with each member, and keep the nearest of what they found.

    Args:
        victim: gives logits and gradients.
        images: float32 (n, C, H, W), in [0, 1].
        labels: int64 (n,), the true classes.
        settings: the members'.
        targets: int64 (n,), a class for each image to be taken for; untargeted if None.
        judge: maps any number of images to logits, and decides what fools. Default: the victim in
            float32.

    Returns:
        What was found; its `details` hold for each member `l2_{member}`, float64 (n,): the
        distance at which it fools the image before the line search, NaN where it does not. `last`
        is the last iterate of the member whose image is kept.

    Raises:
        UserError: if an image is outside [0, 1], a label is no class, a target is no class or the
            true one, or a logit is NaN.
    """
    members: list[tuple[str, Any, Any]] = [
        ("ddn", ddn, settings.ddn),
        ("carlini_wagner", carlini_wagner, settings.carlini_wagner),
    ]
    found = {
        name: method(victim, images, labels, own, targets=targets, judge=judge)
        for name, method, own in members
    }
    distances = {name: _distances(images, one) for name, one in found.items()}
    attacked = next(iter(found.values()))
    nearest = distances["ddn"].nan_to_num(torch.inf)
    for name, one in list(found.items())[1:]:
        nearer = distances[name].nan_to_num(torch.inf) < nearest
        nearest = torch.where(nearer, distances[name], nearest)
        attacked.best[nearer], attacked.last[nearer] = one.best[nearer], one.last[nearer]
        attacked.success |= one.success
        attacked.iterations = attacked.iterations + one.iterations
    hit = attacked.success
    goal = Margin((labels if targets is None else targets)[hit], targets is not None)
    attacked.best[hit] = nearest_on_line(
        judge or victim.logits, goal, images[hit], attacked.best[hit]
    )
    attacked.details = {f"l2_{name}": distance for name, distance in distances.items()}
    return attacked


def _distances(images: Tensor, attacked: Attacked) -> Tensor:
    distance = (attacked.best - images).double().flatten(1).norm(dim=1)
    return torch.where(attacked.success, distance, torch.nan)
