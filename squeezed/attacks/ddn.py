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
    Judge,
    attackable_images,
    bfloat16_slack,
    enlarged_until_fooled,
    padded_batches,
)
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
        if self.steps < 1:
            raise UserError(f"the attack's steps is {self.steps}; it must be ≥ 1")
        if not self.init_epsilon > 0:
            raise UserError(f"the attack's init_epsilon is {self.init_epsilon}; it must be > 0")
        if not 0 < self.gamma < 1:
            raise UserError(f"the attack's gamma is {self.gamma}; it must be between 0 and 1")
        if self.noise_draws < 0:
            raise UserError(f"the attack's noise_draws is {self.noise_draws}; it must be ≥ 0")

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
    """Attack images.

    Args:
        victim: gives logits and gradients.
        images: float32 (n, C, H, W), in [0, 1].
        labels: int64 (n,), the true classes.
        settings: the attack's.
        targets: int64 (n,), a class for each image to be taken for; untargeted if None.
        judge: maps any number of images to logits; the nearest image that was seen to fool counts
            if the judge is fooled, too, enlarged by at most a tenth. Default: the victim in
            float32.
        starts: float32 (n, C, H, W), images that fool already and are to be brought nearer: the
            first radius is then the distance to them, steps are shares of it, and γ falls as they
            do. Default: the images.

    Raises:
        UserError: if an image is outside [0, 1], a label is no class, a target is no class or the
            true one, or a logit is NaN.
    """
    attackable = attackable_images(victim, images, labels, targets, judge)
    classes = labels if targets is None else targets
    attacked = Attacked(
        attackable=attackable,
        success=torch.zeros(len(images), dtype=torch.bool),
        best=images.clone(),
        last=images.clone(),
        iterations=torch.where(attackable, settings.steps * max(1, 2 * settings.noise_draws), 0),
    )
    goal = Margin(classes, targets is not None, slack=bfloat16_slack(victim))
    for chosen, padded in padded_batches(victim, images, attackable):
        margin = replace(goal, classes=classes[padded].to(victim.device))
        batch, begin = (
            None if x is None else x[padded].to(victim.device, memory_format=torch.channels_last)
            for x in (images, starts)
        )
        assert batch is not None
        found, best, last = _attack_batch(victim, batch, margin, settings, begin)
        chosen_only = slice(0, len(chosen))
        attacked.success[chosen] = found[chosen_only].cpu()
        attacked.best[chosen] = best[chosen_only].cpu()
        attacked.last[chosen] = last[chosen_only].cpu()
    _ask_judge(victim, judge, attacked, images, classes, targets is not None)
    return attacked


def _attack_batch(
    victim: Victim, images: Tensor, margin: Margin, settings: DDNSettings, starts: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return which rows were fooled, their nearest adversarial images and the last iterates."""
    lowered = margin.values if settings.scale_free else margin.log_odds
    gradients = _Gradients(victim, lowered, settings.noise_draws)
    best, found = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    # No image in the box is farther away than its farthest corner.
    farthest = _lengths(torch.maximum(images, 1 - images))
    nearest = farthest.clone()
    if starts is None:
        x, change, unit = images, torch.zeros_like(images), torch.ones_like(farthest)
        radius = torch.full_like(farthest, settings.init_epsilon)
    else:
        x, change = starts, starts - images
        radius = _lengths(change)
        unit = REFINING * radius
    for step in range(settings.steps + 1):
        logits, gradient = gradients.at(x, radius, wanted=step < settings.steps)
        fooled = margin.fooled(logits)
        distance = _lengths(change)
        nearer = fooled & (distance <= nearest)
        best[nearer] = x[nearer]
        nearest = torch.where(nearer, distance, nearest)
        found |= fooled
        if step == settings.steps:
            break
        length = _step_length(step / settings.steps)
        if gradient is not None:
            tiny = torch.finfo(torch.float32).tiny
            scale = length * unit / _lengths(gradient).clamp(min=tiny)
            change.addcmul_(gradient, _wide(scale), value=-1)
        gamma = settings.gamma * (1 if starts is None else length)
        radius = radius * torch.where(fooled, 1 - gamma, 1 + gamma)
        radius = torch.minimum(radius, farthest)
        moved = _lengths(change)
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
    classes: Tensor,
    targeted: bool,
) -> None:
    """Enlarge what does not fool the judge, and take it back where that does not help either."""
    chosen = attacked.success.nonzero()[:, 0]
    if not len(chosen) or (judge is None and victim.precision == "fp32"):
        return
    fooled, enlarged = enlarged_until_fooled(
        judge or victim.logits,
        Margin(classes[chosen], targeted),
        images[chosen],
        attacked.best[chosen],
    )
    attacked.success[chosen] = fooled
    kept = fooled[:, None, None, None]
    attacked.best[chosen] = torch.where(kept, enlarged, images[chosen])


def _lengths(change: Tensor) -> Tensor:
    return torch.linalg.vector_norm(change, dim=(1, 2, 3))


def _wide(per_row: Tensor) -> Tensor:
    return per_row[:, None, None, None]
