"""What every attack method is given and gives back, and what it refuses."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError

Judge = Callable[[Tensor], Tensor]
"""Maps images (n, C, H, W) to logits (n, classes), both on the CPU."""

BFLOAT16_SLACK = 2**-7
"""The lead that counts in bfloat16, relative to the largest logit: it holds 8 bits of a number."""


ENLARGEMENTS = (1.0, 1.02, 1.05, 1.1)
"""By how much a change may be enlarged to fool a judge, whose boundary is a little elsewhere."""


@dataclass
class Attacked:
    """What an attack found for n images, in their order, on the CPU."""

    attackable: Tensor
    """bool (n,): classified correctly before. The others are wrong anyway, and left alone."""
    success: Tensor
    """bool (n,): an adversarial image was found."""
    best: Tensor
    """float32 (n, C, H, W): the nearest adversarial image; the original where none was found."""
    last: Tensor
    """float32 (n, C, H, W): the last iterate, whether it fools or not."""
    iterations: Tensor
    """int64 (n,): gradient steps spent on the image."""
    details: dict[str, Tensor] = field(default_factory=dict)
    """Further columns of the method's own, each (n,), by name."""


def attackable_images(
    victim: Victim,
    images: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    judge: Judge | None,
) -> Tensor:
    """Check what is to be attacked, and return which images are classified correctly, (n,).

    Args:
        victim: what is attacked.
        images: float32 (n, C, H, W).
        labels: int64 (n,).
        targets: int64 (n,), or None for an untargeted attack.
        judge: decides what is classified correctly; None: the victim in float32.

    Raises:
        UserError: if an image is outside [0, 1], a label is no class, a target is no class or the
            true one, or a logit is NaN.
    """
    if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
        raise UserError(
            f"images to attack must be in [0, 1], but these span {float(images.min()):.4g} to "
            f"{float(images.max()):.4g}; normalisation belongs inside the model"
        )
    logits = judge(images) if judge else victim.logits(images)
    _check_classes(labels, targets, logits)
    return logits.argmax(dim=1) == labels


def enlarged_until_fooled(
    judge: Judge, goal: Margin, images: Tensor, adversarial: Tensor
) -> tuple[Tensor, Tensor]:
    """Enlarge changes until a judge is fooled, by at most a tenth.

    Args:
        judge: another engine than the attack was made with, or the same one in float32.
        goal: says of the judge's logits whether an image fools; its classes are shape (n,).
        images: float32 (n, C, H, W), the originals, on the CPU.
        adversarial: float32 (n, C, H, W), likewise.

    Returns:
        Which fool the judge, shape (n,), and the images; those that fool it at once as they are.
    """
    fooled, enlarged = torch.zeros(len(images), dtype=torch.bool), adversarial.clone()
    for factor in ENLARGEMENTS:
        left = (~fooled).nonzero()[:, 0]
        if not len(left):
            break
        candidates = adversarial[left]
        if factor > 1:
            candidates = (images[left] + factor * (candidates - images[left])).clamp(0, 1)
        hit = replace(goal, classes=goal.classes[left]).fooled(judge(candidates))
        fooled[left[hit]] = True
        enlarged[left[hit]] = candidates[hit]
    return fooled, enlarged


def begun(
    victim: Victim, images: Tensor, labels: Tensor, targets: Tensor | None, judge: Judge | None
) -> tuple[Attacked, Margin]:
    """Check what is to be attacked (`attackable_images`).

    Returns:
        What is found before the first step, and what is to be reached, of all images.
    """
    attacked = Attacked(
        attackable=attackable_images(victim, images, labels, targets, judge),
        success=torch.zeros(len(images), dtype=torch.bool),
        best=images.clone(),
        last=images.clone(),
        iterations=torch.zeros(len(images), dtype=torch.int64),
    )
    classes = labels if targets is None else targets
    return attacked, Margin(classes, targets is not None, slack=bfloat16_slack(victim))


Found = tuple[Tensor, Tensor, Tensor]
"""Which rows of a batch were fooled, their nearest adversarial images and the last iterates."""


@dataclass(frozen=True)
class Batch:
    """As many images as the victim's rows, on its device; the last is repeated where they end."""

    images: Tensor
    goal: Margin
    numbers: Tensor
    """int64 (rows,), on the CPU: which of the images they are."""

    def of(self, values: Tensor) -> Tensor:
        """Return the rows of values of all images, (n, C, H, W), laid out as the images are."""
        rows = values[self.numbers]
        return rows.to(self.images.device, memory_format=torch.channels_last)


def search_in_batches(
    victim: Victim,
    images: Tensor,
    attacked: Attacked,
    goal: Margin,
    search: Callable[[Batch], Found],
    *,
    steps: int,
) -> None:
    """Search for adversarial images a batch at a time, and keep in place what is found.

    Args:
        victim: what is attacked.
        images: float32 (n, C, H, W), on the CPU.
        attacked: what was found before; images that fooled are left alone.
        goal: of all images.
        search: attacks one batch.
        steps: the gradient steps that it spends on an image.
    """
    waiting = (attacked.attackable & ~attacked.success).nonzero()[:, 0]
    attacked.iterations[waiting] += steps
    rows = victim.rows(images.shape[1:])
    for chosen in waiting.split(rows) if len(waiting) else ():
        numbers = torch.cat([chosen, chosen[-1:].expand(rows - len(chosen))])
        own = replace(goal, classes=goal.classes[numbers].to(victim.device))
        batch = images[numbers].to(victim.device, memory_format=torch.channels_last)
        found, best, last = (
            values[: len(chosen)].cpu() for values in search(Batch(batch, own, numbers))
        )
        attacked.success[chosen], attacked.best[chosen], attacked.last[chosen] = found, best, last


def bfloat16_slack(victim: Victim) -> float:
    """Return the lead that an iterate needs while the victim steps, relative to its logits."""
    return BFLOAT16_SLACK if victim.precision == "bf16" else 0.0


def _check_classes(labels: Tensor, targets: Tensor | None, logits: Tensor) -> None:
    classes = logits.shape[1]
    for name, given in (("label", labels), ("target", targets)):
        if given is None:
            continue
        if given.shape != labels.shape or len(given) != len(logits):
            raise UserError(f"there must be one {name} for each image")
        if len(given) and not 0 <= int(given.min()) <= int(given.max()) < classes:
            raise UserError(f"a {name} is outside the model's classes 0 to {classes - 1}")
    if targets is not None and bool((targets == labels).any()):
        first = int(torch.nonzero(targets == labels)[0, 0])
        raise UserError(
            f"the target of image {first} is its true class {int(labels[first])}; a targeted "
            "attack needs another class"
        )
