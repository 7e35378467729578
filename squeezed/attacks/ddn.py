"""Decoupled direction and norm (Rony et al. 2019): the nearest adversarial image in few steps.

Each step goes along the gradient, with a length of its own, and then onto the sphere around the
original whose radius grows by γ while the image is classified correctly and shrinks by γ while it
fools. There is no constant to search for, so a tenth of Carlini and Wagner's steps do.

Two readings of our own leave the way as it is. The direction of the cross entropy's gradient is
taken from the log-odds of the class, whose gradient is the same but for a positive factor that
vanishes where a network is sure of itself. And an image that no gradient reaches stays where it
is, where the authors (and foolbox) take a step in a random direction.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from squeezed.attacks.attacked import (
    Attacked,
    Batch,
    Found,
    Judge,
    begun,
    enlarged_until_fooled,
    search_in_batches,
)
from squeezed.attacks.budget import lengths
from squeezed.attacks.method import check_ranges
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError

FIRST_STEP, LAST_STEP = 1.0, 0.01
"""Between these the length of a step falls along half a cosine."""
REFINING = 0.2
"""The first step from a start that is given, as a share of its distance."""
SEED = 0
"""Of the noise. All rows share it, so that an image's result does not depend on the others."""


@dataclass(frozen=True)
class DDNSettings:
    """The attack's settings, as the configuration names them."""

    steps: int
    """Gradient steps for each image."""
    init_epsilon: float
    """The first radius, in units of [0, 1]."""
    gamma: float
    """Share by which the radius grows or shrinks in a step."""
    scale_free: bool = False
    """Lower the margin instead of the log-odds: multiplied logits change nothing."""
    noise_draws: int = 0
    """Pairs of noise, as long as the radius, over which each gradient is averaged; 0 takes it as it
    is."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            UserError: if there is no step, or the radius, γ or the pairs are out of range.
        """
        check_ranges(self, at_least={"steps": 1, "noise_draws": 0}, above={"init_epsilon": 0})
        if not 0 < self.gamma < 1:
            raise UserError(f"the attack's gamma is {self.gamma}; it must be between 0 and 1")

    def doubled(self) -> "DDNSettings":
        """Return the same settings with twice the steps."""
        return replace(self, steps=2 * self.steps)


def ddn(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    settings: DDNSettings,
    *,
    targets: Tensor | None = None,
    judge: Judge | None = None,
    starts: Tensor | None = None,
) -> Attacked:
    """Attack images, as `squeezed.attacks.method` says of every method.

    The nearest image that was seen to fool counts if the judge is fooled, too, enlarged by at most
    a tenth.

    `starts`, float32 (n, C, H, W), are images that fool already and are to be brought nearer: the
    first radius is then the distance to them, steps are shares of it, and γ falls as they do.
    Default: the images.
    """
    attacked, goal = begun(victim, images, labels, targets, judge)

    def search(batch: Batch) -> Found:
        begin = None if starts is None else batch.of(starts)
        return _attack_batch(victim, batch.images, batch.goal, settings, begin)

    steps = settings.steps * max(1, 2 * settings.noise_draws)
    search_in_batches(victim, images, attacked, goal, search, steps=steps)
    _ask_judge(victim, judge, attacked, images, goal)
    return attacked


def _attack_batch(
    victim: Victim, images: Tensor, margin: Margin, settings: DDNSettings, starts: Tensor | None
) -> Found:
    lowered = margin.values if settings.scale_free else margin.log_odds
    gradients = _Gradients(victim, lowered, settings.noise_draws)
    best, found = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    # No image in the box is farther away than its farthest corner.
    farthest = lengths(torch.maximum(images, 1 - images), "l2")
    nearest = farthest.clone()
    if starts is None:
        x, change, unit = images, torch.zeros_like(images), torch.ones_like(farthest)
        radius = torch.full_like(farthest, settings.init_epsilon)
    else:
        x, change = starts, starts - images
        radius = lengths(change, "l2")
        unit = REFINING * radius
    for step in range(settings.steps + 1):
        logits, gradient = gradients.at(x, radius, wanted=step < settings.steps)
        fooled = margin.fooled(logits)
        distance = lengths(change, "l2")
        nearer = fooled & (distance <= nearest)
        best[nearer] = x[nearer]
        nearest = torch.where(nearer, distance, nearest)
        found |= fooled
        if step == settings.steps:
            break
        length = _step_length(step / settings.steps)
        if gradient is not None:
            tiny = torch.finfo(torch.float32).tiny
            scale = length * unit / lengths(gradient, "l2").clamp(min=tiny)
            change.addcmul_(gradient, _wide(scale), value=-1)
        gamma = settings.gamma * (1 if starts is None else length)
        radius = radius * torch.where(fooled, 1 - gamma, 1 + gamma)
        radius = torch.minimum(radius, farthest)
        moved = lengths(change, "l2")
        change.mul_(_wide(torch.where(moved > 0, radius / moved, 0)))
        x = (images + change).clamp_(0, 1)
        change = x - images
    return found, best, x


class _Gradients:
    """The gradient that is followed: the victim's own, or its mean over noise."""

    def __init__(
        self, victim: Victim, lowered: Callable[[Tensor], Tensor], noise_draws: int
    ) -> None:
        self.victim, self.lowered, self.noise_draws = victim, lowered, noise_draws
        self.random = torch.Generator().manual_seed(SEED)

    def at(self, x: Tensor, length: Tensor, *, wanted: bool) -> tuple[Tensor, Tensor | None]:
        """Return the logits of `x` and, where it is wanted, the gradient; noise is of `length`."""
        if not wanted or not self.noise_draws:
            return self.victim.step(x, self.lowered if wanted else None)
        logits, mean = self.victim.step(x, None)[0], None
        for _ in range(self.noise_draws):
            noise = torch.randn(x.shape[1:], generator=self.random)
            noise = (noise / noise.norm()).to(x.device) * _wide(length)
            for moved in (x + noise, x - noise):
                gradient = self.victim.step(moved.clamp(0, 1), self.lowered)[1]
                if gradient is not None:
                    mean = gradient if mean is None else mean + gradient
        return logits, mean


def _step_length(progress: float) -> float:
    return LAST_STEP + (FIRST_STEP - LAST_STEP) * (1 + math.cos(math.pi * progress)) / 2


def _ask_judge(
    victim: Victim,
    judge: Judge | None,
    attacked: Attacked,
    images: Tensor,
    goal: Margin,
) -> None:
    """Enlarge what does not fool the judge, and take it back where that does not help either."""
    chosen = attacked.success.nonzero()[:, 0]
    if not len(chosen) or (judge is None and victim.precision == "fp32"):
        return
    fooled, enlarged = enlarged_until_fooled(
        judge or victim.logits,
        Margin(goal.classes[chosen], goal.targeted),
        images[chosen],
        attacked.best[chosen],
    )
    attacked.success[chosen] = fooled
    kept = fooled[:, None, None, None]
    attacked.best[chosen] = torch.where(kept, enlarged, images[chosen])


def _wide(per_row: Tensor) -> Tensor:
    return per_row[:, None, None, None]
