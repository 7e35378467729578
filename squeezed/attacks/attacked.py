"""What every attack method is given and gives back, and what it refuses."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError

Judge = Callable[[Tensor], Tensor]
"""Maps images (n, C, H, W) to logits (n, classes), both on the CPU."""

BFLOAT16_SLACK = 2**-7
"""The lead that counts in bfloat16, relative to the largest logit: it holds 8 bits of a number."""


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
