"""Whether a map is true of the network: scores of each image that can contradict the eye."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from squeezed.explain.controls import blurred
from squeezed.explain.spread import flat_maps

BATCH = 256


@dataclass(frozen=True)
class Curves:
    """The probability of the explained class as pixels go or come, shape (n, steps + 1)."""

    deletion: Tensor
    """The map's highest pixels replaced first, by the mean colour: a true map falls fast."""
    insertion: Tensor
    """The map's highest pixels restored first, to a blurred image: a true map rises fast."""

    def deletion_auc(self) -> Tensor:
        """Return the area under each deletion curve, shape (n,), in [0, 1]: lower is better."""
        return _area(self.deletion)

    def insertion_auc(self) -> Tensor:
        """Return the area under each insertion curve, shape (n,), in [0, 1]: higher is better."""
        return _area(self.insertion)


@torch.no_grad()
def perturbation_curves(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    *,
    mean_colour: list[float],
    steps: int,
    seed: int,
    temperature: float = 1.0,
) -> Curves:
    """Delete and insert pixels in a map's order (Petsiuk et al. 2018).

    Args:
        model: images in [0, 1] to logits.
        images: shape (n, C, H, W).
        maps: shape (n, H, W).
        targets: the class whose probability is followed, shape (n,).
        mean_colour: what deleted pixels become, one value for each channel, in [0, 1].
        steps: equal shares of the pixels that go or come at a time.
        seed: decides between pixels of equal value, so that no order of scanning does.
        temperature: what logits are divided by, for probabilities that mean what they say
            (`squeezed.explain.calibrating`).
    """

    def probability(images: Tensor) -> Tensor:
        return _probability(model, images, targets, temperature)

    rank = descending_ranks(maps, seed=seed)
    pixels = rank.shape[1] * rank.shape[2]
    grey = torch.tensor(mean_colour, device=images.device, dtype=images.dtype).view(1, -1, 1, 1)
    canvas = blurred(images, deviation=images.shape[2] / 8)
    deletion, insertion = [], []
    for step in range(steps + 1):
        chosen = (rank < round(pixels * step / steps))[:, None]
        deletion.append(probability(torch.where(chosen, grey, images)))
        insertion.append(probability(torch.where(chosen, images, canvas)))
    return Curves(torch.stack(deletion, dim=1), torch.stack(insertion, dim=1))


def descending_ranks(maps: Tensor, *, seed: int) -> Tensor:
    """Return each pixel's place in its map, 0 for the highest, ties in a random order.

    Args:
        maps: shape (n, H, W).
        seed: of the order of ties.
    """
    flat = maps.flatten(1)
    shuffle = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(seed)).to(
        maps.device
    )
    order = shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]
    places = torch.arange(flat.shape[1], device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(maps.shape)


def share_on_object(maps: Tensor, masks: Tensor) -> Tensor:
    """Return the share of each map's attribution that lies on the object, shape (n,), in [0, 1].

    A map of zeros alone has NaN: it puts nothing anywhere.

    Args:
        maps: shape (n, H, W), at least 0.
        masks: shape (n, H, W), bool.
    """
    total = maps.flatten(1).sum(dim=1)
    on_object = (maps * masks).flatten(1).sum(dim=1)
    return torch.where(total > 0, on_object / total, torch.nan)


def rank_correlation(
    maps: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of each pair of maps, shape (n,), in [−1, 1].

    A map that is the same all over has NaN: it has no order.

    Args:
        maps, others: shape (n, H, W).
    """
    correlations = np.full(len(maps), np.nan)
    for position in np.flatnonzero(~(flat_maps(maps) | flat_maps(others))):
        first = _mean_ranks(maps[position].ravel())
        second = _mean_ranks(others[position].ravel())
        first, second = first - first.mean(), second - second.mean()
        scale = np.sqrt(np.sum(first**2) * np.sum(second**2))
        correlations[position] = np.sum(first * second) / scale
    return correlations


def _mean_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rank of each value, equal ones sharing their mean rank (scipy's `rankdata`)."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[group]


def _probability(model: nn.Module, images: Tensor, targets: Tensor, temperature: float) -> Tensor:
    parts = [
        (model(batch) / temperature).softmax(dim=1).gather(1, target[:, None])[:, 0]
        for batch, target in zip(images.split(BATCH), targets.split(BATCH), strict=True)
    ]
    return torch.cat(parts)


def _area(curve: Tensor) -> Tensor:
    return torch.trapezoid(curve, dim=1) / (curve.shape[1] - 1)
