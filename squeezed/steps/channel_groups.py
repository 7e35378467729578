"""Choose whole channels to remove, with all that depends on them.

A channel is not one filter: what is added to it or normalises it goes with it, and so do the
weights that read it. torch-pruning finds these groups (Fang et al. 2023); which of them go, and how
many, is decided here. The layer that gives the logits and the images' channels stay whole.
"""

import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from squeezed.foundation.errors import UserError, first_line
from squeezed.networks.channels import remove_channels
from squeezed.networks.resnet_cifar import ZeroPadShortcut
from squeezed.networks.surgery import output_layer, replace_module

Channels = dict[str, dict[str, list[int]]]
"""By module, the indices of its `inputs` and `outputs` that go; see `remove_channels`."""


@dataclass(frozen=True)
class Removable:
    """How many channels could go, and how many do."""

    total: int
    removed: int


@dataclass(frozen=True)
class _Group:
    """Channels of layers that go together, in `slots` of which each is one channel or more."""

    root: nn.Module
    scores: Tensor
    """Of each slot, shape (slots,): the mean absolute weight of its filters."""
    channels: int
    parts: int
    """Channels of a slot: 1, or the groups of a grouped convolution that must shrink alike."""

    def members(self, slots: Sequence[int]) -> list[int]:
        """Return the channels of slots."""
        stride = self.channels // self.parts
        return sorted(slot + part * stride for slot in slots for part in range(self.parts))


def choose_channels(
    network: nn.Module,
    image_size: tuple[int, int],
    amount: float,
    *,
    ranking: str = "layer",
    round_to: int = 8,
) -> tuple[Channels, Removable]:
    """Choose the channels whose filters have the smallest weights.

    Args:
        network: of convolutions, fully connected layers and batch norms; left as it is.
        image_size: height and width of its images.
        amount: share to remove, in [0, 1): of each layer's channels (the units of fully connected
            layers, too), or with `ranking="global"` of all channels together.
        ranking: whether channels compete within their `layer` or across layers (`global`), by the
            mean of their absolute weights; across layers the best of each layer stays.
        round_to: the kept channels are rounded to the nearest multiple of this, at least one
            multiple, and at most what was there.

    Returns:
        What `squeezed.networks.channels.remove_channels` takes, and how much that is.

    Raises:
        UserError: if the amount is outside [0, 1), a weight is NaN or infinite, or channels of such
            a network cannot be removed.
    """
    if not 0 <= amount < 1:
        raise UserError(f"cannot prune a share of {amount}; choose at least 0 and less than 1")
    for name, parameter in network.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise UserError(f"cannot prune {name}: it holds NaN or infinite values")
    kind = type(network).__name__
    traced = _traceable(network)
    graph = _dependencies(traced, image_size, kind)
    head = output_layer(traced, image_size)
    groups = [_scored(graph, group) for group in graph.get_all_groups(ignored_layers=[head])]
    if not groups:
        raise UserError(f"{kind} has no channels to remove")
    channels: Channels = {}
    names = {module: name for name, module in traced.named_modules()}
    removed = 0
    for group, count in zip(groups, _counts(groups, amount, ranking), strict=True):
        kept = rounded(group.channels - count * group.parts, group.channels, round_to, group.parts)
        slots = len(group.scores) - kept // group.parts
        if not slots:
            continue
        # A stable sort: of equal ones the earlier goes first.
        lowest = group.scores.argsort(stable=True)[:slots].tolist()
        members = group.members(lowest)
        removed += len(members)
        prune = graph.get_pruner_of_module(group.root).prune_out_channels
        for item in graph.get_pruning_group(group.root, prune, members):
            _note(channels, names, graph, item, kind)
    found = {
        name: {side: sorted(set(indices)) for side, indices in sides.items()}
        for name, sides in sorted(channels.items())
    }
    _verify(network, found, image_size, kind)
    return found, Removable(sum(group.channels for group in groups), removed)


def rounded(kept: int, total: int, round_to: int, parts: int = 1) -> int:
    """Return how many of `total` channels stay where `kept` are wanted.

    The nearest multiple of `round_to` (and of `parts`), at least one multiple, at most `total`.
    """
    if kept == total:
        return total
    multiple = math.lcm(round_to, parts)
    if multiple > total:
        return total
    return min(max(math.floor(kept / multiple + 0.5), 1) * multiple, total)


def _traceable(network: nn.Module) -> nn.Module:
    """Return a copy whose shortcuts are what torch-pruning knows: convolutions of 1×1."""
    copied = copy.deepcopy(network).cpu().eval()
    for name, module in list(copied.named_modules()):
        if isinstance(module, ZeroPadShortcut):
            stand_in = nn.Conv2d(
                module.in_channels, module.out_channels, 1, module.stride, bias=False
            )
            nn.init.zeros_(stand_in.weight)  # no say in which channels matter
            replace_module(copied, name, stand_in)
    for parameter in copied.parameters():
        parameter.requires_grad_(True)
    return copied


def _dependencies(network: nn.Module, image_size: tuple[int, int], kind: str) -> Any:
    import torch_pruning

    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            return torch_pruning.DependencyGraph().build_dependency(
                network, example_inputs=torch.zeros(1, 3, *image_size), verbose=False
            )
    except Exception as error:  # whatever it meets in a network that it does not know
        raise UserError(
            f"channels of {kind} cannot be removed: torch-pruning cannot follow it "
            f"({first_line(error)})"
        ) from error


def _scored(graph: Any, group: Any) -> _Group:
    root = group[0].dep.target.module
    channels = len(group[0].idxs)
    sums, counts = torch.zeros(channels, dtype=torch.float64), torch.zeros(channels)
    parts = 1
    for item in group:
        module, handler = item.dep.target.module, item.dep.handler
        if isinstance(module, nn.Conv2d) and 1 < module.groups < module.out_channels:
            parts = math.lcm(parts, module.groups)
        if isinstance(module, nn.Conv2d | nn.Linear) and graph.is_out_channel_pruning_fn(handler):
            weight = module.weight.detach().abs().double().flatten(1).mean(1)
            if not bool(weight.any()):
                continue
            places = torch.tensor(item.root_idxs)
            sums.index_add_(0, places, weight[item.idxs])
            counts.index_add_(0, places, torch.ones(len(places)))
    scores = sums / counts.clamp(min=1)
    if channels % parts:
        parts = 1  # the check of the whole network says whether that works
    return _Group(root, scores.reshape(parts, -1).mean(0), channels, parts)


def _counts(groups: list[_Group], amount: float, ranking: str) -> list[int]:
    """Return how many slots of each group rank low enough to go; at least one stays."""
    if ranking == "layer":
        return [min(round(amount * len(g.scores)), len(g.scores) - 1) for g in groups]
    if ranking != "global":
        raise UserError(f"there is no ranking {ranking!r}; choose layer or global")
    ranked = sorted(
        (float(score), index, group.parts)
        for index, group in enumerate(groups)
        for score in group.scores.sort().values[:-1]
    )
    budget = round(amount * sum(group.channels for group in groups))
    counts = [0] * len(groups)
    for _, index, parts in ranked:
        budget -= parts
        if budget < 0:
            break
        counts[index] += 1
    return counts


def _note(
    channels: Channels, names: dict[nn.Module, str], graph: Any, item: Any, kind: str
) -> None:
    """Add what goes of one layer to `channels`."""
    module = item.dep.target.module
    if isinstance(module, nn.Parameter):
        raise UserError(
            f"channels of {kind} cannot be removed: it has parameters outside of layers"
        )
    if module not in names:
        return  # an operation: an addition, a concatenation
    side = "outputs" if graph.is_out_channel_pruning_fn(item.dep.handler) else "inputs"
    channels.setdefault(names[module], {}).setdefault(side, []).extend(map(int, item.idxs))


def _verify(network: nn.Module, channels: Channels, image_size: tuple[int, int], kind: str) -> None:
    """Refuse what torch-pruning misunderstood: the smaller network must still compute logits."""
    smaller = copy.deepcopy(network).cpu().eval()
    try:
        remove_channels(smaller, channels)
        with torch.no_grad():
            smaller(torch.zeros(1, 3, *image_size))
    except (RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"channels of {kind} cannot be removed ({first_line(error)})") from error
