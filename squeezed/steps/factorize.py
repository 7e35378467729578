"""The step `factorize`: layers of low rank, by truncated singular value decomposition.

A fully connected layer becomes two; a convolution becomes a k×1 and a 1×l one (Jaderberg, Vedaldi,
Zisserman 2014, in the closed form of Tai et al. 2016). Truncation is the best approximation of its
rank (Eckart & Young 1936); training recovers what it costs.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from squeezed.foundation.errors import UserError
from squeezed.networks.classifier import Classifier
from squeezed.networks.low_rank import can_be_split, full_rank, split_layers
from squeezed.networks.network_file import NetworkCard
from squeezed.networks.surgery import output_layer
from squeezed.steps.network_step import MadeNetwork, edited, train_in
from squeezed.steps.step import Workshop
from squeezed.training.settings import TrainingSettings


@dataclass(frozen=True)
class FactorizeSettings:
    """An experiment's `factorization` section; config.schema.yaml says what each means."""

    rank_share: float
    energy: float | None
    recovery: TrainingSettings


def factorize(
    parent: Classifier, card: NetworkCard, settings: FactorizeSettings, workshop: Workshop
) -> MadeNetwork:
    """Split the layers of a copy that get cheaper by it, and train the result.

    The first convolution, the layer that gives the logits and grouped convolutions stay as they
    are.

    Args:
        parent: left as it is.
        card: describes `parent`.
        settings: the ranks, and how the result is trained.
        workshop: the data, seed and machine.

    Raises:
        UserError: if no layer would get cheaper, or a weight is NaN or infinite.
    """
    made = structure(parent, card, settings)
    made.training = train_in(workshop, made.model, made.card, settings.recovery)
    return made


def structure(parent: Classifier, card: NetworkCard, settings: FactorizeSettings) -> MadeNetwork:
    """Split the layers of a copy of `parent` without training it."""
    model = copy.deepcopy(parent)
    ranks = choose_ranks(model.network, card.image_size, settings.rank_share, settings.energy)
    if not ranks:
        raise UserError(
            f"no layer of {card.architecture} gets cheaper at these ranks: choose a lower "
            "`rank_share` or `energy`"
        )
    before = sum(parameter.numel() for parameter in model.parameters())
    split_weights(model.network, ranks)
    after = sum(parameter.numel() for parameter in model.parameters())
    metrics = {"factorized_layers": len(ranks), "removed_parameters": before - after}
    return MadeNetwork(model, edited(card, {"edit": "factorize", "ranks": ranks}), metrics)


def choose_ranks(
    network: nn.Module, image_size: tuple[int, int], rank_share: float, energy: float | None
) -> dict[str, int]:
    """Return the rank of each layer that gets cheaper by it, in multiplications, by its name.

    Args:
        network: with float weights.
        image_size: height and width of its images.
        rank_share: of each layer's full rank, rounded, at least 1.
        energy: if given, the lowest rank that keeps this share of the squared singular values.
    """
    layers = {name: each for name, each in network.named_modules() if can_be_split(each)}
    convolutions = [n for n, each in network.named_modules() if isinstance(each, nn.Conv2d)]
    head = output_layer(network, image_size)
    ranks = {}
    for name, layer in layers.items():
        if name in convolutions[:1] or layer is head:
            continue
        rank = max(round(rank_share * full_rank(layer)), 1)
        if energy is not None:
            rank = _rank_of_energy(_matrix(name, layer), energy)
        if _cost(layer, rank) < _cost(layer, None):
            ranks[name] = rank
    return ranks


def split_weights(network: nn.Module, ranks: Mapping[str, int]) -> None:
    """Split layers in place, with the best weights of these ranks."""
    before = {name: network.get_submodule(name) for name in ranks}
    split_layers(network, ranks)
    for name, rank in ranks.items():
        layer, pair = before[name], network.get_submodule(name)
        assert isinstance(layer, nn.Linear | nn.Conv2d) and isinstance(pair, nn.Sequential)
        left, values, right = torch.linalg.svd(_matrix(name, layer), full_matrices=False)
        root = values[:rank].sqrt()
        first, second = root[:, None] * right[:rank], left[:, :rank] * root
        tensors = {
            "0.weight": _first_weight(layer, first),
            "1.weight": _second_weight(layer, second),
        }
        if layer.bias is not None:
            tensors["1.bias"] = layer.bias.detach()
        pair.load_state_dict(tensors)
        pair.train(layer.training)


def _matrix(name: str, layer: nn.Module) -> Tensor:
    """Return the matrix whose low-rank approximation splits a layer, in float64.

    Of a fully connected layer (outputs, inputs). Of a convolution's weight (o, i, y, x) the matrix
    (o·x, i·y): its right factor is the vertical convolution, its left one the horizontal.
    """
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    weight = layer.weight.detach().double().cpu()
    if not bool(torch.isfinite(weight).all()):
        raise UserError(f"cannot factorize {name}: it holds NaN or infinite values")
    if weight.dim() == 2:
        return weight
    outputs, inputs, height, width = weight.shape
    return weight.permute(0, 3, 1, 2).reshape(outputs * width, inputs * height)


def _first_weight(layer: nn.Module, factor: Tensor) -> Tensor:
    """Shape the right factor, (rank, inputs·height), as the first layer's weight."""
    if isinstance(layer, nn.Linear):
        return factor
    assert isinstance(layer, nn.Conv2d)
    return factor.reshape(len(factor), layer.in_channels, layer.kernel_size[0], 1)


def _second_weight(layer: nn.Module, factor: Tensor) -> Tensor:
    """Shape the left factor, (outputs·width, rank), as the second layer's weight."""
    if isinstance(layer, nn.Linear):
        return factor
    assert isinstance(layer, nn.Conv2d)
    width = layer.kernel_size[1]
    return factor.reshape(layer.out_channels, width, 1, -1).permute(0, 3, 2, 1)


def _rank_of_energy(matrix: Tensor, energy: float) -> int:
    squares = torch.linalg.svdvals(matrix).square()
    kept = squares.cumsum(0) / squares.sum().clamp(min=torch.finfo(torch.float64).tiny)
    # A tolerance for rounding: all of the energy is the full rank, not one that does not exist.
    return min(int((kept < energy * (1 - 1e-12)).sum()) + 1, len(squares))


def _cost(layer: nn.Module, rank: int | None) -> int:
    """Return multiplications of a layer, or of its two parts, for each pixel that it returns."""
    if isinstance(layer, nn.Linear):
        inputs, outputs = layer.in_features, layer.out_features
        return inputs * outputs if rank is None else rank * (inputs + outputs)
    assert isinstance(layer, nn.Conv2d)
    (height, width), inputs, outputs = layer.kernel_size, layer.in_channels, layer.out_channels
    if rank is None:
        return inputs * outputs * height * width
    # The vertical convolution computes all columns, of which a stride then takes some.
    columns = 1 if layer.kernel_size == (1, 1) else layer.stride[1]
    return rank * (inputs * height * columns + outputs * width)
