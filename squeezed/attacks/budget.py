"""Attacks within a given distance: lengths, directions and projections in L2 and L∞."""

from typing import Literal

import torch
from torch import Tensor

from squeezed.attacks.attacked import Attacked, Judge
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim

Norm = Literal["l2", "linf"]


def lengths(change: Tensor, norm: Norm) -> Tensor:
    """Return the length of each change, shape (n,), of changes (n, C, H, W)."""
    order = 2 if norm == "l2" else torch.inf
    return torch.linalg.vector_norm(change, ord=order, dim=(1, 2, 3))


def normalised(gradient: Tensor, norm: Norm) -> Tensor:
    """Return the steepest direction of length 1 for gradients (n, C, H, W); 0 where all are 0."""
    if norm == "linf":
        return gradient.sign()
    tiny = torch.finfo(torch.float32).tiny
    return gradient / lengths(gradient, norm).clamp(min=tiny)[:, None, None, None]


def projected(images: Tensor, moved: Tensor, budget: float, norm: Norm) -> Tensor:
    """Return images (n, C, H, W) brought back into [0, 1] and within `budget` of the originals."""
    change = moved - images
    if norm == "linf":
        change = change.clamp(-budget, budget)
    else:
        change = change * (budget / lengths(change, norm).clamp(min=budget))[:, None, None, None]
    return (images + change).clamp(0, 1)


class Nearest:
    """The nearest adversarial image that was seen of each row of a batch."""

    def __init__(self, images: Tensor, norm: Norm) -> None:
        """Begin with none of `images`, (n, C, H, W)."""
        self._images, self._norm = images, norm
        self.best = images.clone()
        self.length = torch.full((len(images),), torch.inf, device=images.device)

    def see(self, x: Tensor, fooled: Tensor) -> None:
        """Keep those of `x` that fool, bool (n,), and are nearer."""
        length = lengths(x - self._images, self._norm)
        nearer = fooled & (length < self.length)
        self.best[nearer] = x[nearer]
        self.length = torch.where(nearer, length, self.length)

    @property
    def found(self) -> Tensor:
        """Of which rows there is one, bool (n,)."""
        return self.length.isfinite()


def keep_what_fools(
    victim: Victim, judge: Judge | None, attacked: Attacked, images: Tensor, goal: Margin
) -> None:
    """Take back, in place, what does not fool the judge; enlarged it would leave the budget."""
    hit = attacked.success.nonzero()[:, 0]
    if not len(hit) or (judge is None and victim.precision == "fp32"):
        return
    plain = Margin(goal.classes[hit], goal.targeted)
    lost = hit[~plain.fooled((judge or victim.logits)(attacked.best[hit]))]
    attacked.success[lost] = False
    attacked.best[lost] = images[lost]
