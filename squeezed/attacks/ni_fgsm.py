"""NI-FGSM and SI-NI-FGSM (Lin et al. 2020): attacks within an L∞ budget whose images transfer.

The sign of an accumulated gradient that is taken a step ahead (Nesterov), of the image and, for
SI-NI-FGSM, of copies whose pixels are halved again and again. It has no say in how robust a variant
is (APGD finds more); its images are made to fool other networks.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from squeezed.attacks.attacked import (
    Attacked,
    Judge,
    attackable_images,
    bfloat16_slack,
    padded_batches,
)
from squeezed.attacks.budget import keep_what_fools, lengths, projected
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError


@dataclass(frozen=True)
class NIFGSMSettings:
    """The attack's settings, as the configuration names them."""

    budget: float
    """The largest change of a pixel, in units of [0, 1]; each step is an equal share of it."""
    steps: int
    momentum: float
    """μ: the share of the accumulated gradient that is kept."""
    scales: int
    """Copies of the image, the k-th divided by 2^k, over which the gradient is averaged; 1 is
    NI-FGSM."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            UserError: if a count is below 1, the budget not positive, or the momentum negative.
        """
        for name in ("steps", "scales"):
            if getattr(self, name) < 1:
                raise UserError(f"the attack's {name} is {getattr(self, name)}; it must be ≥ 1")
        if not self.budget > 0:
            raise UserError(f"the attack's budget is {self.budget}; it must be > 0")
        if self.momentum < 0:
            raise UserError(f"the attack's momentum is {self.momentum}; it must be ≥ 0")

    def doubled(self) -> "NIFGSMSettings":
        """Return the same settings with twice the steps."""
        return replace(self, steps=2 * self.steps)


def ni_fgsm(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    settings: NIFGSMSettings,
    *,
    targets: Tensor | None = None,
    judge: Judge | None = None,
) -> Attacked:
    """Attack images; arguments, result and what is raised are those of `apgd`."""
    attackable = attackable_images(victim, images, labels, targets, judge)
    attacked = Attacked(
        attackable=attackable,
        success=torch.zeros(len(images), dtype=torch.bool),
        best=images.clone(),
        last=images.clone(),
        iterations=torch.where(attackable, settings.steps * settings.scales, 0),
    )
    goal = Margin(
        labels if targets is None else targets, targets is not None, slack=bfloat16_slack(victim)
    )
    for chosen, padded in padded_batches(victim, images, attackable):
        margin = replace(goal, classes=goal.classes[padded].to(victim.device))
        batch = images[padded].to(victim.device, memory_format=torch.channels_last)
        found, best, last = _run(victim, batch, margin, settings)
        some = slice(0, len(chosen))
        attacked.success[chosen] = found[some].cpu()
        attacked.best[chosen] = best[some].cpu()
        attacked.last[chosen] = last[some].cpu()
    keep_what_fools(victim, judge, attacked, images, goal)
    return attacked


def _run(
    victim: Victim, images: Tensor, margin: Margin, settings: NIFGSMSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Return which rows were fooled, their nearest adversarial images and the last iterates."""
    step = settings.budget / settings.steps
    best, found = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    nearest = torch.full((len(images),), torch.inf, device=images.device)
    x, accumulated = images, torch.zeros_like(images)
    for k in range(settings.steps + 1):
        fooled = margin.fooled(victim.step(x, None)[0])
        distance = lengths(x - images, "linf")
        nearer = fooled & (distance < nearest)
        best[nearer], nearest = x[nearer], torch.where(nearer, distance, nearest)
        found |= fooled
        if k == settings.steps:
            break
        ahead = x + step * settings.momentum * accumulated
        gradient = _over_scales(victim, ahead, margin, settings.scales)
        if gradient is None:
            break
        # The paper prints the sum; the authors' code has the mean, without which μ looks nowhere.
        size = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
        accumulated = settings.momentum * accumulated + gradient / size.clamp(
            min=torch.finfo(torch.float32).tiny
        )
        x = projected(images, x + step * accumulated.sign(), settings.budget, "linf")
    return found, best, x


def _over_scales(victim: Victim, x: Tensor, margin: Margin, scales: int) -> Tensor | None:
    """Return the gradient of the cross entropy that rises, averaged over the copies."""
    mean = None
    for k in range(scales):
        gradient = victim.step(x / 2**k, lambda logits: _cross_entropy(logits, margin))[1]
        if gradient is not None:
            share = gradient / (scales * 2**k)
            mean = share if mean is None else mean + share
    return mean


def _cross_entropy(logits: Tensor, margin: Margin) -> Tensor:
    own = logits.log_softmax(dim=1).gather(1, margin.classes[:, None])[:, 0]
    return own if margin.targeted else -own
