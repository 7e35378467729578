"""ROAD, remove and debias (Rong et al. 2022): is the class still recognised without some pixels?"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from squeezed.explain.faithfulness import descending_ranks
from squeezed.explain.imputation import impute

BATCH = 256


@dataclass(frozen=True)
class Road:
    """In how many of the removed shares the explained class is still predicted, shape (n,)."""

    most_relevant: Tensor
    """The map's highest pixels removed: a true map soon takes the class away."""
    least_relevant: Tensor
    """The map's lowest pixels removed: a true map leaves the class as it is."""

    @property
    def score(self) -> Tensor:
        """Least minus most, in [−1, 1], shape (n,): more is better, and a random map has 0."""
        return self.least_relevant - self.most_relevant


@torch.no_grad()
def road(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    *,
    shares: Sequence[float],
    seed: int,
) -> Road:
    """Remove shares of the pixels in a map's order, and back to front, by imputing them.

    Only decisions count, so that no score depends on how confident a network is.

    Args:
        model: images in [0, 1] to logits.
        images: shape (n, C, H, W).
        maps: shape (n, H, W).
        targets: the class that is looked for, shape (n,).
        shares: of the pixels, each in (0, 1).
        seed: of the noise, and of the order of pixels of equal value.
    """
    rank = descending_ranks(maps, seed=seed)
    pixels = rank.shape[1] * rank.shape[2]
    generator = torch.Generator().manual_seed(seed)
    kept: dict[str, list[Tensor]] = {"most": [], "least": []}
    for share in shares:
        count = min(max(round(pixels * share), 1), pixels - 1)
        for order, removed in (("most", rank < count), ("least", rank >= pixels - count)):
            imputed = impute(images, removed, generator=generator)
            predicted = torch.cat([model(part).argmax(dim=1) for part in imputed.split(BATCH)])
            kept[order].append((predicted == targets).double())
    return Road(*(torch.stack(kept[order]).mean(dim=0) for order in ("most", "least")))
