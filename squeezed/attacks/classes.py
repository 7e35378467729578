"""The classes that an image is most easily taken for, to attack it toward each of them alone."""

import torch
from torch import Tensor

from squeezed.attacks.victim import Victim


def near_classes(victim: Victim, images: Tensor, labels: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return `count` wrong classes of each image, those with the largest logits, each int64 (n,).

    Of fewer classes all; of no images nothing.
    """
    if not len(images) or not count:
        return ()
    wrong = victim.logits(images).scatter(1, labels[:, None], -torch.inf)
    return wrong.topk(min(count, wrong.shape[1] - 1), dim=1).indices.unbind(dim=1)
