"""Several attacks as one: for each image the nearest adversarial image that any of them found.

One attack fails for reasons of its own (a constant, a step length, the scale of the logits, the
class that it happens to run toward); what several miss is missed for a reason of the model's. All
are made free of the logits' scale. The nearest of what they find is brought nearer by some further
steps from there, and then to the boundary along a straight line.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from squeezed.attacks.attacked import Attacked, Judge
from squeezed.attacks.carlini_wagner import CarliniWagnerSettings, carlini_wagner
from squeezed.attacks.classes import near_classes
from squeezed.attacks.ddn import DDNSettings, ddn
from squeezed.attacks.line_search import nearest_on_line, transferred
from squeezed.attacks.method import check_ranges
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim


@dataclass(frozen=True)
class EnsembleSettings:
    """The attack's settings, as the configuration names them."""

    ddn: DDNSettings
    near_classes: int
    """Toward so many other classes, those with the largest logits, DDN is run again, each alone.
    Untargeted attacks only."""
    smoothed: DDNSettings
    """Of DDN along gradients that are averaged over noise."""
    carlini_wagner: CarliniWagnerSettings
    transferred: bool
    """Take what fools another model, where it is given, brought to this one's boundary."""
    refining_steps: int
    """Of DDN, from the nearest image that was found, and from the transferred one."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            UserError: if a count is negative.
        """
        check_ranges(self, at_least={"near_classes": 0, "refining_steps": 0})

    def doubled(self) -> "EnsembleSettings":
        """Return the same settings with twice the steps of each member."""
        return replace(
            self,
            ddn=self.ddn.doubled(),
            smoothed=self.smoothed.doubled(),
            carlini_wagner=self.carlini_wagner.doubled(),
            refining_steps=2 * self.refining_steps,
        )


def ensemble(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    settings: EnsembleSettings,
    *,
    targets: Tensor | None = None,
    judge: Judge | None = None,
    starts: Tensor | None = None,
) -> Attacked:
    """Attack images with each member, and keep the nearest of what they found.

    As `squeezed.attacks.method` says of every method. `starts`, float32 (n, C, H, W), are images
    that fool another model, for the member `transferred`; the original where there is none.

    Returns:
        What was found; its `details` hold for each member `l2_{member}`, float64 (n,): the
        distance at which it fools the image before the line search, NaN where it does not. `last`
        is the last iterate of the member whose image is kept.
    """
    members = _Members(victim, images, labels, targets, judge)
    members.add("ddn", ddn(victim, images, labels, settings.ddn, targets=targets, judge=judge))
    if targets is None:
        for near in near_classes(victim, images, labels, settings.near_classes):
            members.add(
                "near_classes",
                ddn(victim, images, labels, settings.ddn, targets=near, judge=judge),
            )
    members.add(
        "smoothed", ddn(victim, images, labels, settings.smoothed, targets=targets, judge=judge)
    )
    members.add(
        "carlini_wagner",
        carlini_wagner(
            victim, images, labels, settings.carlini_wagner, targets=targets, judge=judge
        ),
    )
    if settings.transferred and starts is not None:
        theirs = members.transferred(starts)
        members.add("transferred", theirs)
        members.refine(theirs, settings)
    members.refine(members.best, settings)
    return members.at_boundary()


class _Members:
    """Keeps the nearest of what the members find."""

    def __init__(
        self,
        victim: Victim,
        images: Tensor,
        labels: Tensor,
        targets: Tensor | None,
        judge: Judge | None,
    ) -> None:
        self.victim, self.images, self.labels = victim, images, labels
        self.targets, self.judge = targets, judge
        self.ask = judge or victim.logits
        self.goal = Margin(labels if targets is None else targets, targets is not None)
        self.nearest = torch.full((len(images),), torch.inf, dtype=torch.float64)
        self.details: dict[str, Tensor] = {}
        self._best: Attacked | None = None

    @property
    def best(self) -> Attacked:
        """What was found so far."""
        assert self._best is not None
        return self._best

    def add(self, name: str, found: Attacked) -> None:
        """Keep what is nearer; a member's figure is that of its nearest where it is added twice."""
        distance = _distances(self.images, found)
        known = self.details.get(f"l2_{name}")
        self.details[f"l2_{name}"] = distance if known is None else torch.fmin(known, distance)
        nearer = distance.nan_to_num(torch.inf) < self.nearest
        self.nearest = torch.where(nearer, distance, self.nearest)
        if self._best is None:
            self._best = replace(found, details={})
            return
        best = self._best
        best.best[nearer], best.last[nearer] = found.best[nearer], found.last[nearer]
        best.success |= found.success
        best.iterations = best.iterations + found.iterations

    def transferred(self, starts: Tensor) -> Attacked:
        """Bring what fools another model to this one's boundary."""
        attackable = self.best.attackable
        found = Attacked(
            attackable=attackable,
            success=torch.zeros_like(attackable),
            best=self.images.clone(),
            last=self.images.clone(),
            iterations=torch.zeros_like(self.labels),
        )
        fooled, best = transferred(
            self.ask, self.goal.at(attackable), self.images[attackable], starts[attackable]
        )
        found.success[attackable] = fooled
        found.best[attackable] = found.last[attackable] = best
        return found

    def refine(self, found: Attacked, settings: EnsembleSettings) -> None:
        """Run DDN from what was found."""
        hit = found.success.nonzero()[:, 0]
        if not len(hit) or not settings.refining_steps:
            return
        refined = ddn(
            self.victim,
            self.images[hit],
            self.labels[hit],
            replace(settings.ddn, steps=settings.refining_steps),
            targets=None if self.targets is None else self.targets[hit],
            judge=self.judge,
            starts=found.best[hit],
        )
        everywhere = replace(
            found,
            success=torch.zeros_like(found.success),
            best=self.images.clone(),
            last=self.images.clone(),
            iterations=torch.zeros_like(self.labels),
        )
        for name in ("success", "best", "last", "iterations"):
            getattr(everywhere, name)[hit] = getattr(refined, name)
        self.add("refined", everywhere)

    def at_boundary(self) -> Attacked:
        """Return what was found, shortened along straight lines."""
        found, hit = self.best, self.best.success
        found.best[hit] = nearest_on_line(
            self.ask, self.goal.at(hit), self.images[hit], found.best[hit]
        )
        found.details = self.details
        return found


def _distances(images: Tensor, attacked: Attacked) -> Tensor:
    distance = (attacked.best - images).double().flatten(1).norm(dim=1)
    return torch.where(attacked.success, distance, torch.nan)
