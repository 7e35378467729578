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
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from squeezed.attacks.attacked import Attacked, Batch, Found, Judge, begun, search_in_batches
from squeezed.attacks.budget import Nearest, Norm, keep_what_fools, normalised, projected
from squeezed.attacks.classes import near_classes
from squeezed.attacks.method import check_ranges
from squeezed.attacks.victim import Victim

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
        check_ranges(self, at_least={"steps": 1, "near_classes": 0}, above={"budget": 0})

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
    """Attack images, as `squeezed.attacks.method` says of every method.

    Returns:
        What was found; `best` is the nearest image that was seen to fool, at most `budget` away.
    """
    attacked, goal = begun(victim, images, labels, targets, judge)
    toward = near_classes(victim, images, labels, settings.near_classes) if targets is None else ()
    for near in (None, *toward):
        search = partial(_search, victim, settings, near)
        search_in_batches(victim, images, attacked, goal, search, steps=settings.steps)
    keep_what_fools(victim, judge, attacked, images, goal)
    return attacked


def _search(victim: Victim, settings: APGDSettings, near: Tensor | None, batch: Batch) -> Found:
    """Raise minus the log-odds, or the ratio toward a class of each image."""
    if near is None:
        return _run(victim, batch, lambda logits: -batch.goal.log_odds(logits), settings)
    classes = near[batch.numbers].to(victim.device)
    return _run(victim, batch, lambda logits: _ratio(logits, batch.goal.classes, classes), settings)


def _ratio(logits: Tensor, labels: Tensor, near: Tensor) -> Tensor:
    """Return the targeted difference of logits ratio, shape (n,); of few classes, what there is.

    It is (z_target − z_label) / (z_1 − (z_3 + z_4) / 2), where z_k is the k-th largest logit.
    """
    ordered = logits.sort(dim=1, descending=True).values
    third, fourth = (min(k, logits.shape[1] - 1) for k in (2, 3))
    spread = ordered[:, 0] - (ordered[:, third] + ordered[:, fourth]) / 2
    lead = logits.gather(1, near[:, None]) - logits.gather(1, labels[:, None])
    return lead[:, 0] / spread.clamp(min=torch.finfo(torch.float32).tiny)


def _run(victim: Victim, batch: Batch, raised: Objective, settings: APGDSettings) -> Found:
    norm: Norm = settings.norm
    images, nearest = batch.images, Nearest(batch.images, norm)
    step = torch.full_like(nearest.length, 2 * settings.budget)
    checkpoints = set(_checkpoints(settings.steps))
    highest, at_highest = torch.full_like(step, -torch.inf), images.clone()
    x, before = images, images
    rises, since = torch.zeros_like(step), 0
    highest_then, halved_then = highest.clone(), torch.ones_like(step, dtype=torch.bool)
    previous = torch.full_like(step, torch.inf)
    direction_at_highest = torch.zeros_like(images)
    for k in range(settings.steps + 1):
        logits, gradient = victim.step(x, raised if k < settings.steps else None)
        nearest.see(x, batch.goal.fooled(logits))
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
    return nearest.found, nearest.best, x


def _checkpoints(steps: int) -> Iterator[int]:
    """Yield the steps at which the step's length is looked at."""
    at, stretch = FIRST_CHECKPOINT, FIRST_CHECKPOINT
    while at < 1:
        yield round(at * steps)
        stretch = max(stretch - SHORTER, SHORTEST)
        at += stretch
