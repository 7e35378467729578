"""Prune, recover, and find how much can be pruned: equation (2) of the paper."""

import copy
import csv
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from squeezed.data import Dataset
from squeezed.foundation.device import resolve_device
from squeezed.foundation.files import atomic_path
from squeezed.foundation.progress import track
from squeezed.networks.classifier import Classifier
from squeezed.steps.pruning import apply_masks, pruning_masks
from squeezed.training.loop import TrainingResult, evaluate_split, train

AUTO = "auto"


@dataclass(frozen=True)
class Trial:
    """One amount that was tried. Accuracies are of the validation images, in [0, 1]."""

    amount: float
    validation_accuracy: float
    """After recovery."""
    drop: float
    """The parent's accuracy minus this one's; negative where recovery gained."""
    within: bool
    """Whether the drop is at most the allowed one."""


@dataclass(frozen=True)
class Pruned:
    """A pruned and recovered model, and how it came about."""

    model: Classifier
    masks: dict[str, Tensor]
    amount: float
    parent_validation_accuracy: float
    training: TrainingResult
    trials: list[Trial]


def prune_and_recover(
    model: Classifier,
    dataset: Dataset,
    settings: Mapping[str, Any],
    *,
    seed: int,
    device: str = "cpu",
    threads: int = 1,
    resume_path: str | Path | None = None,
) -> Pruned:
    """Prune a copy of `model` and train what is left, by a fixed amount or by a search.

    The search bisects the multiples of `search_step` below 1 for the largest amount whose accuracy
    after recovery is at most `maximum_drop` below the parent's, on the validation images. It takes
    accuracy to fall as the amount grows. If even the smallest amount costs more, that one is used:
    the trials say so.

    Args:
        model: left as it is.
        dataset: trained on its `train`, chosen by its `validation` split.
        settings: the configuration's `pruning` section: `amount` (a number or "auto"),
            `granularity`, `ranking`, `maximum_drop`, `search_step`, `recovery`.
        seed: of the recovery.
        device: `cpu`, `cuda` or `auto`.
        threads: of torch on the CPU.
        resume_path: see `squeezed.training.loop.train`.

    Raises:
        UserError: see `squeezed.steps.pruning.pruning_masks`.
    """
    on_device = copy.deepcopy(model).to(resolve_device(device))
    _, parent_accuracy = evaluate_split(on_device, dataset.validation, resolve_device(device))
    trials: list[Trial] = []

    def attempt(amount: float) -> Pruned:
        pruned = copy.deepcopy(model)
        masks = pruning_masks(
            pruned.network,
            amount,
            granularity=settings["granularity"],
            ranking=settings["ranking"],
        )
        apply_masks(pruned.network, masks)
        training = train(
            pruned,
            dataset,
            settings["recovery"],
            seed=seed,
            device=device,
            threads=threads,
            masks=masks,
            resume_path=resume_path,
        )
        drop = parent_accuracy - training.validation_accuracy
        within = drop <= settings["maximum_drop"]
        trials.append(Trial(amount, training.validation_accuracy, drop, within))
        return Pruned(pruned, masks, amount, parent_accuracy, training, trials)

    if settings["amount"] != AUTO:
        return attempt(settings["amount"])
    return _largest_within(attempt, settings["search_step"])


def _largest_within(attempt: Any, step: float) -> Pruned:
    candidates = [round(step * k, 6) for k in range(1, int(1 / step) + 1) if step * k < 1 - 1e-9]
    low, high = 0, len(candidates)  # candidates before `low` are within, from `high` on are not
    best: Pruned | None = None
    smallest: Pruned | None = None
    for _ in track(range(len(candidates).bit_length()), "search for the amount"):
        if low >= high:
            break
        middle = (low + high) // 2
        tried: Pruned = attempt(candidates[middle])
        if middle == 0:
            smallest = tried
        if tried.trials[-1].within:
            best, low = tried, middle + 1
        else:
            high = middle
    found = best or smallest
    assert found is not None  # a search that never succeeds ends at the smallest amount
    return found


def write_trials(path: str | Path, trials: list[Trial]) -> None:
    """Write the search, one line for each amount in the order tried, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        columns = [field.name for field in dataclasses.fields(Trial)]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(trial) for trial in trials)
