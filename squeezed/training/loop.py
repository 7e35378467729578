"""Training: the baseline's, and the recovery of the pruned and ablated variants.

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
from squeezed.training.processes import current_team, train_in_processes
from squeezed.training.resume import ResumeFile
from squeezed.training.run import EpochRecord, TrainingRun, evaluate_split

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What `train` did; the model that it was given holds the weights of the best epoch."""

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

    def write_history(self, path: str | Path) -> None:
        """Write one line for each epoch to a CSV file, whole or not at all."""
        with (
            atomic_path(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            columns = [column.name for column in dataclasses.fields(EpochRecord)]
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(dataclasses.asdict(record) for record in self.history)


def train(
    model: Classifier,
    dataset: Dataset,
    settings: Mapping[str, Any],
    *,
    seed: int,
    device: str = "cpu",
    threads: int = 1,
    masks: Mapping[str, Tensor] | None = None,
    trainable: Iterable[str] | None = None,
    resume_path: str | Path | None = None,
) -> TrainingResult:
    """Train `model` in place by SGD; it ends with its best epoch's weights, in evaluation mode.

    The best epoch is chosen on the validation images. What is frozen does not move by a bit:
    parameters that are not trained get no weight decay, and batch norms without a trained
    parameter stay in evaluation mode, so that their running statistics stay too.

    Args:
        model: as it is to start from (weights drawn, pruned or transplanted already).
        dataset: its `train` split is trained on, its `validation` split chosen by.
        settings: a `training` section of the configuration, complete: `epochs`, `batch_size`,
            `learning_rate` (the highest), `schedule` (`one_cycle`, `cosine`, `constant`),
            `warmup_share`, `momentum`, `weight_decay`, `label_smoothing`, `precision`,
            `augmentation` (`horizontal_flip`, `crop_padding`, `resized_crop`); with `processes` of
            more than one, that many train together (`squeezed.training.processes`).
        seed: of the batches, the augmentation and dropout.
        device: `cpu`, `cuda` or `auto`; the model returns to the CPU at the end.
        threads: of torch on the CPU.
        masks: for pruning: boolean tensors by parameter name as in
            `model.network.named_parameters()`; where a mask is False the weight is zero from the
            start and after each step.
        trainable: for ablation: the parameters to train, by name or by prefix (`classifier`,
            `features.0`) as in `model.network`; default: all.
        resume_path: a file that holds the state after each finished epoch. If one is there from a
            killed run *with the same start, data, settings, masks, code and machine*, the
            training goes on from it; any other is ignored. It is deleted at the end.

    Raises:
        ValueError: if a mask or a trainable name fits no parameter.
        UserError: if `device` is `cuda` and there is none, if the augmentation does not fit the
            data set, an image cannot be read, or the training diverges.
    """
    team = current_team()
    processes = settings.get("processes", 1)
    if processes > 1 and settings["epochs"] and team.alone:
        arguments = {
            "settings": dict(settings),
            "seed": seed,
            "device": device,
            "threads": threads,
            "resume_path": resume_path,
        }
        return TrainingResult.from_fields(
            train_in_processes(processes, model, dataset.path, arguments, masks or {}, trainable)
        )
    chosen_device = resolve_device(device)
    torch.set_num_threads(threads)
    run = TrainingRun(model, dataset, settings, seed, chosen_device, masks or {}, trainable)
    resume = ResumeFile(resume_path, run.fingerprint(threads)) if resume_path else None
    resumed_from = run.restore(resume) if resume else 0
    if resumed_from:
        logger.info("resumed after epoch %d", resumed_from)
    epochs = range(resumed_from + 1, settings["epochs"] + 1)
    for epoch in epochs:
        run.epoch(epoch)
        if resume and team.leads and epoch < settings["epochs"]:
            run.save(resume)
    if run.best_epoch:
        model.network.load_state_dict(run.best_state)
        accuracy = run.history[run.best_epoch - 1].validation_accuracy
    else:
        _, accuracy = evaluate_split(model, dataset.validation, chosen_device, run.precision)
    for parameter, required in run.required_gradients:
        parameter.requires_grad_(required)
    model.to("cpu").to(memory_format=torch.contiguous_format).eval()
    if resume and team.leads:
        resume.delete()
    return TrainingResult(
        run.history, run.best_epoch, accuracy, chosen_device.type, run.precision, resumed_from
    )
