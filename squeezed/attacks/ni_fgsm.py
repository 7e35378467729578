"""NI-FGSM and SI-NI-FGSM (Lin et al. 2020): attacks within an L∞ budget whose images transfer.

The sign of an accumulated gradient that is taken a step ahead (Nesterov), of the image and, for
SI-NI-FGSM, of copies whose pixels are halved again and again. It has no say in how robust a variant
is (APGD finds more); its images are made to fool other networks.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from squeezed.attacks.attacked import Attacked, Batch, Found, Judge, begun, search_in_batches
from squeezed.attacks.budget import Nearest, keep_what_fools, projected
from squeezed.attacks.method import check_ranges
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim


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
        at_least = {"steps": 1, "scales": 1, "momentum": 0}
        check_ranges(self, at_least=at_least, above={"budget": 0})

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
    """Attack images, as `squeezed.attacks.method` says of every method.

    Returns:
        What was found; `best` is the nearest image that was seen to fool, at most `budget` away.
    """
    attacked, goal = begun(victim, images, labels, targets, judge)
    steps = settings.steps * settings.scales
    search_in_batches(victim, images, attacked, goal, partial(_run, victim, settings), steps=steps)
    keep_what_fools(victim, judge, attacked, images, goal)
    return attacked


def _run(victim: Victim, settings: NIFGSMSettings, batch: Batch) -> Found:
    step = settings.budget / settings.steps
    images, nearest = batch.images, Nearest(batch.images, "linf")
    x, accumulated = images, torch.zeros_like(images)
    for k in range(settings.steps + 1):
        nearest.see(x, batch.goal.fooled(victim.step(x, None)[0]))
        if k == settings.steps:
            break
        ahead = x + step * settings.momentum * accumulated
        gradient = _over_scales(victim, ahead, batch.goal, settings.scales)
        if gradient is None:
            break
        # The paper prints the sum; the authors' code has the mean, without which μ looks nowhere.
        size = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
        accumulated = settings.momentum * accumulated + gradient / size.clamp(
            min=torch.finfo(torch.float32).tiny
        )
        x = projected(images, x + step * accumulated.sign(), settings.budget, "linf")
    return nearest.found, nearest.best, x


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
