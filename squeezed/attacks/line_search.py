"""Bring an adversarial image as near to its original as a straight line allows."""

import torch
from torch import Tensor

from squeezed.attacks.attacked import Judge
from squeezed.attacks.objective import Margin

HALVINGS = 10
"""They tell where a line crosses the boundary to a thousandth of its length."""
FARTHEST = 4.0
"""How many times its length a change of another model's may be enlarged to fool this one."""


def nearest_on_line(judge: Judge, goal: Margin, images: Tensor, adversarial: Tensor) -> Tensor:
    """Shorten changes by bisection for as long as they fool.

    Args:
        judge: maps images to logits, both on the CPU.
        goal: says of the judge's logits whether an image fools; its classes are shape (n,).
        images: float32 (n, C, H, W), the originals.
        adversarial: float32 (n, C, H, W), images that fool.

    Returns:
        float32 (n, C, H, W): the nearest image on each line that was seen to fool; at the farthest
        `adversarial` itself.
    """
    best = adversarial.clone()
    low, high = torch.zeros(len(images)), torch.ones(len(images))
    for _ in range(HALVINGS if len(images) else 0):
        middle = (low + high) / 2
        candidates = torch.lerp(images, adversarial, _wide(middle))
        fooled = goal.fooled(judge(candidates))
        best[fooled] = candidates[fooled]
        high, low = torch.where(fooled, middle, high), torch.where(fooled, low, middle)
    return best


def transferred(
    judge: Judge, goal: Margin, images: Tensor, adversarial: Tensor
) -> tuple[Tensor, Tensor]:
    """Bring another model's adversarial images to this one's boundary.

    A change that does not fool yet is doubled until it does, by at most `FARTHEST` and within
    [0, 1]; then it is shortened by bisection.

    Args:
        judge: this model's logits.
        goal: as for `nearest_on_line`.
        images: float32 (n, C, H, W), the originals.
        adversarial: float32 (n, C, H, W), what fools the other.

    Returns:
        Which fool, shape (n,), and the images: the nearest that fool, the originals elsewhere.
    """
    fooled = torch.zeros(len(images), dtype=torch.bool)
    best, factor = images.clone(), 1.0
    while factor <= FARTHEST and not bool(fooled.all()):
        left = (~fooled).nonzero()[:, 0]
        enlarged = (images[left] + factor * (adversarial[left] - images[left])).clamp(0, 1)
        hit = goal.at(left).fooled(judge(enlarged))
        fooled[left[hit]], best[left[hit]] = True, enlarged[hit]
        factor *= 2
    if bool(fooled.any()):
        best[fooled] = nearest_on_line(judge, goal.at(fooled), images[fooled], best[fooled])
    return fooled, best


def _wide(per_image: Tensor) -> Tensor:
    return per_image[:, None, None, None]
