"""L1 pruning: equation (1) of the paper ranks what to remove, masks keep it removed.

Ranked are groups of weights, by the mean of their absolute values:

- slice: `weight[o, i, :, :]`, one input channel of one filter (the paper's choice);
- filter: `weight[o]`, a whole filter;
- synapse: a single weight.

Fully connected layers are always ranked by synapse. The first convolution is spared. Biases and
batch norms are not pruned.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from squeezed.foundation.errors import UserError

GRANULARITIES = ("slice", "filter", "synapse")
RANKINGS = ("layer", "global")


def pruning_masks(
    network: nn.Module, amount: float, *, granularity: str = "slice", ranking: str = "layer"
) -> dict[str, Tensor]:
    """Choose what to prune: the groups with the lowest rank.

    Args:
        network: with float weights; it is left as it is.
        amount: share to remove, in [0, 1). With `ranking="layer"`, of the groups of each layer;
            with `ranking="global"`, of the weights of all layers together.
        granularity: how the weights of convolutions are grouped.
        ranking: whether groups compete within their layer or across layers. Across layers the
            best group of each layer stays, so that no layer dies.

    Returns:
        For each pruned layer's weight, by its name as in `network.named_parameters()`, a boolean
        mask of its shape: False where a weight is to be zero. By layer, the number of removed
        groups is `amount` times their number, rounded, and at least one stays; globally, the
        lowest groups go while their weights fit in `amount` times all weights, rounded.

    Raises:
        UserError: if the amount is outside [0, 1), an option is unknown, a weight is NaN or
            infinite, or the network has nothing to prune.
    """
    if not 0 <= amount < 1:
        raise UserError(f"cannot prune a share of {amount}; choose at least 0 and less than 1")
    if granularity not in GRANULARITIES:
        raise UserError(f"there is no granularity {granularity!r}; choose from {GRANULARITIES}")
    if ranking not in RANKINGS:
        raise UserError(f"there is no ranking {ranking!r}; choose from {RANKINGS}")
    weights = _prunable_weights(network)
    scores = {name: _scores(name, weight, granularity) for name, weight in weights.items()}
    if not scores:
        raise UserError(f"{type(network).__name__} has nothing to prune beyond its first layer")
    if ranking == "layer":
        keep = _keep_by_layer(scores, amount)
    else:
        keep = _keep_globally(scores, weights, amount)
    return {
        name: kept.reshape(scores[name].shape).expand(weights[name].shape).clone()
        for name, kept in keep.items()
    }


def apply_masks(network: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the masked weights to zero, in place."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask, 0)


def _prunable_weights(network: nn.Module) -> dict[str, Tensor]:
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    convolutions = [name for name, module in layers if isinstance(module, nn.Conv2d)]
    spared = convolutions[:1]
    return {f"{n}.weight": m.weight.detach() for n, m in layers if n not in spared}


def _scores(name: str, weight: Tensor, granularity: str) -> Tensor:
    """Return the mean absolute value of each group, with dimensions of size 1 where it is taken."""
    if not bool(torch.isfinite(weight).all()):
        raise UserError(f"cannot prune {name}: it holds NaN or infinite values")
    magnitude = weight.abs().cpu()
    if weight.dim() != 4 or granularity == "synapse":
        return magnitude
    dimensions = (2, 3) if granularity == "slice" else (1, 2, 3)
    return magnitude.double().mean(dim=dimensions, keepdim=True)


def _keep_by_layer(scores: Mapping[str, Tensor], amount: float) -> dict[str, Tensor]:
    keep = {}
    for name, score in scores.items():
        flat = score.flatten()
        removed = min(round(amount * len(flat)), len(flat) - 1)
        kept = torch.ones(len(flat), dtype=torch.bool)
        if removed:
            # The k-th smallest, not a sort: VGG-16's first fully connected layer has 10⁸ synapses.
            threshold = flat.kthvalue(removed).values
            kept = flat >= threshold
            ties = torch.nonzero(flat == threshold).flatten()
            kept[ties[: removed - int((~kept).sum())]] = False  # the earlier group goes first
        keep[name] = kept
    return keep


def _keep_globally(
    scores: Mapping[str, Tensor], weights: Mapping[str, Tensor], amount: float
) -> dict[str, Tensor]:
    flat = torch.cat([score.flatten().float() for score in scores.values()])
    sizes = torch.cat(
        [
            torch.full((score.numel(),), weights[name].numel() // score.numel())
            for name, score in scores.items()
        ]
    )
    counts = [score.numel() for score in scores.values()]
    starts = [sum(counts[:index]) for index in range(len(counts))]
    best = [
        start + int(score.argmax()) for start, score in zip(starts, scores.values(), strict=True)
    ]
    removable = torch.ones(len(flat), dtype=torch.bool)
    removable[best] = False
    order = torch.argsort(flat, stable=True)
    order = order[removable[order]]
    budget = round(amount * int(sizes.sum()))
    removed = order[sizes[order].cumsum(0) <= budget]
    kept = torch.ones(len(flat), dtype=torch.bool)
    kept[removed] = False
    return dict(zip(scores, kept.split(counts), strict=True))
