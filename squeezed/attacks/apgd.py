"""Auto-PGD (Croce & Hein 2020): whether an image within a given budget fools, in L2 or L∞.

Projected gradient ascent with momentum, whose step is halved where the loss stops rising, and which
then goes on from the best image so far. First the cross entropy is raised; what still stands is
attacked toward each of the nearest other classes with the targeted difference of logits ratio,
which does not change when the logits are multiplied.

Two readings of our own: the cross entropy is taken as the class's log-odds, which rise with it and
do not vanish where a network is sure of itself; and it starts from the image, not from a random one
beside it, so that an image's result does not depend on the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from squeezed.attacks.attacked import (
    Attacked,
    Judge,
    attackable_images,
    bfloat16_slack,
    padded_batches,
)
from squeezed.attacks.budget import Norm, keep_what_fools, lengths, normalised, projected
from squeezed.attacks.classes import near_classes
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError

MOMENTUM = 0.75
RISING = 0.75
"""The share of the steps between two checkpoints in which the loss has to rise."""
FIRST_CHECKPOINT, SHORTER, SHORTEST = 0.22, 0.03, 0.06
"""Shares of all steps: the first stretch, by how much each is shorter, and the shortest."""

Objective = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class APGDSettings:
    """The attack's settings, as the configuration names them."""

    norm: Literal["l2", "linf"]
    budget: float
    """The largest distance, in units of [0, 1]."""
    steps: int
    """Gradient steps of each run."""
    near_classes: int
    """Toward so many other classes, those with the largest logits, each alone."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            UserError: if there is no step, the budget is not positive, or a count is negative.
        """
        if self.steps < 1:
            raise UserError(f"the attack's steps is {self.steps}; it must be ≥ 1")
        if not self.budget > 0:
            raise UserError(f"the attack's budget is {self.budget}; it must be > 0")
        if self.near_classes < 0:
            raise UserError(f"the attack's near_classes is {self.near_classes}; it must be ≥ 0")

    def doubled(self) -> "APGDSettings":
        """Return the same settings with twice the steps."""
        return replace(self, steps=2 * self.steps)


def apgd(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    settings: APGDSettings,
    *,
    targets: Tensor | None = None,
    judge: Judge | None = None,
) -> Attacked:
    """Attack images.

    Args:
        victim: gives logits and gradients.
        images: float32 (n, C, H, W), in [0, 1].
        labels: int64 (n,), the true classes.
        settings: the attack's.
        targets: int64 (n,), a class for each image to be taken for; untargeted if None.
        judge: maps any number of images to logits; what was seen to fool counts if the judge is
            fooled, too. Default: the victim in float32.

    Returns:
        What was found; `best` is the nearest image that was seen to fool, at most `budget` away.

    Raises:
        UserError: if an image is outside [0, 1], a label is no class, a target is no class or the
            true one, or a logit is NaN.
    """
    attackable = attackable_images(victim, images, labels, targets, judge)
    attacked = Attacked(
        attackable=attackable,
        success=torch.zeros(len(images), dtype=torch.bool),
        best=images.clone(),
        last=images.clone(),
        iterations=torch.zeros_like(labels),
    )
    goal = Margin(
        labels if targets is None else targets, targets is not None, slack=bfloat16_slack(victim)
    )
    toward = near_classes(victim, images, labels, settings.near_classes) if targets is None else ()
    for near in (None, *toward):
        for chosen, padded in padded_batches(victim, images, attackable & ~attacked.success):
            margin = replace(goal, classes=goal.classes[padded].to(victim.device))
            batch = images[padded].to(victim.device, memory_format=torch.channels_last)
            raised = _objective(margin, None if near is None else near[padded].to(victim.device))
            found, best, last = _run(victim, batch, margin, raised, settings)
            some = slice(0, len(chosen))
            attacked.success[chosen] = found[some].cpu()
            attacked.best[chosen] = best[some].cpu()
            attacked.last[chosen] = last[some].cpu()
            attacked.iterations[chosen] += settings.steps
    keep_what_fools(victim, judge, attacked, images, goal)
    return attacked


def _objective(margin: Margin, near: Tensor | None) -> Objective:
    """Return what is raised: minus the log-odds, or the ratio toward a class."""
    if near is not None:
        return lambda logits: _ratio(logits, margin.classes, near)
    return lambda logits: -margin.log_odds(logits)


def _ratio(logits: Tensor, labels: Tensor, near: Tensor) -> Tensor:
    """Return the targeted difference of logits ratio, shape (n,); of few classes, what there is.

    It is (z_target − z_label) / (z_1 − (z_3 + z_4) / 2), where z_k is the k-th largest logit.
    """
    ordered = logits.sort(dim=1, descending=True).values
    third, fourth = (min(k, logits.shape[1] - 1) for k in (2, 3))
    spread = ordered[:, 0] - (ordered[:, third] + ordered[:, fourth]) / 2
    lead = logits.gather(1, near[:, None]) - logits.gather(1, labels[:, None])
    return lead[:, 0] / spread.clamp(min=torch.finfo(torch.float32).tiny)


def _run(
    victim: Victim, images: Tensor, margin: Margin, raised: Objective, settings: APGDSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Return which rows were fooled, their nearest adversarial images and the last iterates."""
    norm: Norm = settings.norm
    best, found = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    nearest = torch.full((len(images),), torch.inf, device=images.device)
    step = torch.full_like(nearest, 2 * settings.budget)
    checkpoints = set(_checkpoints(settings.steps))
    highest, at_highest = torch.full_like(nearest, -torch.inf), images.clone()
    x, before = images, images
    rises, since = torch.zeros_like(nearest), 0
    highest_then, halved_then = highest.clone(), torch.ones_like(found)
    previous = torch.full_like(nearest, torch.inf)
    direction_at_highest = torch.zeros_like(images)
    for k in range(settings.steps + 1):
        logits, gradient = victim.step(x, raised if k < settings.steps else None)
        fooled = margin.fooled(logits)
        distance = lengths(x - images, norm)
        nearer = fooled & (distance < nearest)
        best[nearer], nearest = x[nearer], torch.where(nearer, distance, nearest)
        found |= fooled
        if gradient is None:  # at the end none is asked for
            break
        loss = raised(logits).detach()
        direction = normalised(gradient, norm)
        rises += loss > previous
        previous, since = loss, since + (k > 0)
        higher = loss > highest
        highest = torch.where(higher, loss, highest)
        at_highest[higher], direction_at_highest[higher] = x[higher], direction[higher]
        if k in checkpoints:
            stuck = ~halved_then & (highest <= highest_then)
            halve = (rises < RISING * since) | stuck
            step = torch.where(halve, step / 2, step)
            wide = halve[:, None, None, None]
            x = torch.where(wide, at_highest, x)
            direction = torch.where(wide, direction_at_highest, direction)
            halved_then, highest_then = halve, highest.clone()
            rises, since = torch.zeros_like(rises), 0
        ahead = projected(images, x + step[:, None, None, None] * direction, settings.budget, norm)
        share = MOMENTUM if k else 1.0
        moved = x + share * (ahead - x) + (1 - share) * (x - before)
        x, before = projected(images, moved, settings.budget, norm), x
    return found, best, x


def _checkpoints(steps: int) -> Iterator[int]:
    """Yield the steps at which the step's length is looked at."""
    at, stretch = FIRST_CHECKPOINT, FIRST_CHECKPOINT
    while at < 1:
        yield round(at * steps)
        stretch = max(stretch - SHORTER, SHORTEST)
        at += stretch
