"""The step `prune`: remove what ranks lowest, train what is left, and find how much can go.

Equation (1) of the paper ranks (`squeezed.steps.masks`), equation (2) is the search for the amount.
What is pruned is held at zero; with `remove`, whole channels leave the network instead
(`squeezed.steps.channel_groups`), which makes it smaller and faster.
"""

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from squeezed.foundation.device import resolve_device
from squeezed.foundation.errors import UserError
from squeezed.foundation.progress import track
from squeezed.networks.channels import remove_channels
from squeezed.networks.classifier import Classifier
from squeezed.networks.network_file import NetworkCard
from squeezed.steps.channel_groups import choose_channels
from squeezed.steps.masks import apply_masks, pruning_masks
from squeezed.steps.network_step import MadeNetwork, edited, train_in
from squeezed.steps.step import Workshop
from squeezed.training.run import evaluate_split
from squeezed.training.settings import TrainingSettings
from squeezed.training.teacher import Teacher

logger = logging.getLogger(__name__)

AUTO = "auto"


@dataclass(frozen=True)
class PruneSettings:
    """An experiment's `pruning` section; config.schema.yaml says what each means."""

    amount: float | str
    granularity: str
    ranking: str
    remove: bool
    round_to: int
    maximum_drop: float
    search_step: float
    teacher_weight: float
    temperature: float
    recovery: TrainingSettings


@dataclass(frozen=True)
class Trial:
    """One amount that was tried. Accuracies are of the validation images, in [0, 1]."""

    amount: float
    validation_accuracy: float
    """After recovery."""
    within: bool
    """Whether it costs at most the allowed drop."""


def prune(
    parent: Classifier, card: NetworkCard, settings: PruneSettings, workshop: Workshop
) -> MadeNetwork:
    """Prune a copy of `parent` and train what is left, by a fixed amount or by a search.

    The search bisects the multiples of `search_step` below 1 for the largest amount whose accuracy
    after recovery is at most `maximum_drop` below the parent's, on the validation images. It takes
    accuracy to fall as the amount grows. If even the smallest amount costs more, that one is used:
    the trials say so.

    Args:
        parent: left as it is; the teacher of the recovery, if `teacher_weight` is above 0.
        card: describes `parent`.
        settings: how.
        workshop: the data, seed and machine.

    Raises:
        UserError: see `squeezed.steps.masks.pruning_masks` and
            `squeezed.steps.channel_groups.choose_channels`.
    """
    device = resolve_device(workshop.device)
    on_device = copy.deepcopy(parent).to(device)
    _, parent_accuracy = evaluate_split(on_device, workshop.dataset.validation, device)
    teacher = Teacher(parent, card, settings.temperature, settings.teacher_weight)
    trials: list[Trial] = []

    def attempt(amount: float) -> MadeNetwork:
        made, masks = structure(parent, card, replace(settings, amount=amount))
        made.training = train_in(
            workshop,
            made.model,
            made.card,
            settings.recovery,
            masks=masks,
            teacher=teacher if settings.teacher_weight else None,
        )
        accuracy = made.training.validation_accuracy
        within = parent_accuracy - accuracy <= settings.maximum_drop
        trials.append(Trial(amount, accuracy, within))
        made.metrics |= {
            "amount": amount,
            "parent_validation_accuracy": parent_accuracy,
        }
        return made

    if isinstance(settings.amount, str):
        made = _largest_within(attempt, trials, settings.search_step)
    else:
        made = attempt(settings.amount)
    made.metrics |= {
        "trials": len(trials),
        "tried_amounts": [trial.amount for trial in trials],
        "tried_validation_accuracies": [trial.validation_accuracy for trial in trials],
        "tried_within_drop": [trial.within for trial in trials],
    }
    return made


def structure(
    parent: Classifier, card: NetworkCard, settings: PruneSettings
) -> tuple[MadeNetwork, dict[str, Tensor]]:
    """Prune a copy of `parent` without training it: the network, and the masks to hold.

    An amount to be searched for is taken to be the smallest.
    """
    if isinstance(settings.amount, str) and settings.amount != AUTO:
        raise UserError(f"cannot prune {settings.amount!r}; choose a share, or {AUTO!r}")
    amount = settings.search_step if isinstance(settings.amount, str) else settings.amount
    model = copy.deepcopy(parent)
    if settings.remove:
        channels, removable = choose_channels(
            model.network,
            card.image_size,
            amount,
            ranking=settings.ranking,
            round_to=settings.round_to,
        )
        before = _parameters(model.network)
        remove_channels(model.network, channels)
        metrics: dict[str, Any] = {
            "removed_channels": removable.removed,
            "removable_channels": removable.total,
            "removed_parameters": before - _parameters(model.network),
        }
        edit = {"edit": "remove", "channels": channels}
        return MadeNetwork(model, edited(card, edit), metrics), {}
    masks = pruning_masks(
        model.network, amount, granularity=settings.granularity, ranking=settings.ranking
    )
    apply_masks(model.network, masks)
    metrics = {
        "pruned_weights": sum(int((~mask).sum()) for mask in masks.values()),
        "prunable_weights": sum(mask.numel() for mask in masks.values()),
    }
    return MadeNetwork(model, card, metrics), masks


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _largest_within(
    attempt: Callable[[float], MadeNetwork], trials: list[Trial], step: float
) -> MadeNetwork:
    candidates = [round(step * k, 6) for k in range(1, int(1 / step) + 1) if step * k < 1 - 1e-9]
    low, high = 0, len(candidates)  # candidates before `low` are within, from `high` on are not
    best: MadeNetwork | None = None
    smallest: MadeNetwork | None = None
    for _ in track(range(len(candidates).bit_length()), "search for the amount"):
        if low >= high:
            break
        middle = (low + high) // 2
        tried = attempt(candidates[middle])
        if middle == 0:
            smallest = tried
        if trials[-1].within:
            best, low = tried, middle + 1
        else:
            high = middle
    found = best or smallest
    assert found is not None  # a search that never succeeds ends at the smallest amount
    return found
