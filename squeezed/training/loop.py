"""The training of a network in this process: a baseline's, or the recovery of a variant.

Images stay in memory as uint8 where they fit, are augmented a batch at a time, and go through the
network channels-last, in bfloat16 if the recipe says so and the processor has it. In `fp32` the
same seed, machine and number of threads give the same bytes, on a CPU and on a GPU; so does a
training that was killed and resumed.
"""

import csv
import dataclasses
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from squeezed.data.dataset import Dataset
from squeezed.foundation.device import resolve_device
from squeezed.foundation.files import atomic_path
from squeezed.networks.classifier import Classifier
from squeezed.networks.state import load_state
from squeezed.training.resume import ResumeFile
from squeezed.training.run import EpochRecord, TrainingRun, evaluate_split
from squeezed.training.settings import TrainingSettings
from squeezed.training.teacher import Teacher
from squeezed.training.team import current_team

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a training did; the model that it was given holds the weights of the best epoch."""

    history: list[EpochRecord]
    best_epoch: int
    """Counted from 1: highest validation accuracy, then lowest validation loss; 0 if `epochs` is 0
    and the weights were left as they were."""
    validation_accuracy: float
    """The best epoch's accuracy on the validation images, in [0, 1]."""
    device: str
    """`cpu` or `cuda`."""
    precision: str
    """`fp32` or `bf16`, as it was used."""
    resumed_from_epoch: int = 0
    """The last epoch of an earlier, killed run that this one went on from; 0 if there was none."""

    def metrics(self) -> dict[str, Any]:
        """Return the exact fields of `training.json`."""
        return {
            "best_epoch": self.best_epoch,
            "validation_accuracy": self.validation_accuracy,
            "epochs": len(self.history),
            "precision": self.precision,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "TrainingResult":
        """Build the result from `dataclasses.asdict` of one."""
        history = [EpochRecord(**record) for record in fields["history"]]
        return cls(**{**fields, "history": history})


def write_history(path: str | Path, result: TrainingResult | None) -> None:
    """Write one line for each epoch to a CSV file, none where nothing was trained.

    The file appears whole or not at all.
    """
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        columns = [column.name for column in dataclasses.fields(EpochRecord)]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            dataclasses.asdict(record) for record in (result.history if result else [])
        )


def run_epochs(
    model: Classifier,
    dataset: Dataset,
    settings: TrainingSettings,
    *,
    seed: int,
    device: str = "cpu",
    threads: int = 1,
    masks: Mapping[str, Tensor] | None = None,
    trainable: Iterable[str] | None = None,
    teacher: Teacher | None = None,
    resume_path: str | Path | None = None,
) -> TrainingResult:
    """Train `model` in this process, alone or as one of a team; see
    `squeezed.training.processes.train`.

    The arguments are those of `squeezed.training.processes.train`, but for `settings.processes`,
    which is not looked at.
    """
    team = current_team()
    chosen_device = resolve_device(device)
    torch.set_num_threads(threads)
    run = TrainingRun(
        model, dataset, settings, seed, chosen_device, masks or {}, trainable, teacher
    )
    resume = ResumeFile(resume_path, run.fingerprint(threads)) if resume_path else None
    resumed_from = run.restore(resume) if resume else 0
    if resumed_from:
        logger.info("resumed after epoch %d", resumed_from)
    epochs = range(resumed_from + 1, settings.epochs + 1)
    for epoch in epochs:
        run.epoch(epoch)
        if resume and team.leads and epoch < settings.epochs:
            run.save(resume)
    if run.best_epoch:
        load_state(model.network, run.best_state)
        accuracy = run.history[run.best_epoch - 1].validation_accuracy
    else:
        _, accuracy = evaluate_split(model, dataset.validation, chosen_device, run.precision)
    for parameter, required in run.required_gradients:
        parameter.requires_grad_(required)
    for network in [model, *([teacher.model] if teacher else [])]:
        network.to("cpu").to(memory_format=torch.contiguous_format).eval()
    if resume and team.leads:
        resume.delete()
    return TrainingResult(
        run.history, run.best_epoch, accuracy, chosen_device.type, run.precision, resumed_from
    )
