"""What a training does in each epoch, and what it needs to go on after a kill."""

import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from squeezed.data.dataset import Dataset, Split
from squeezed.foundation.code_digest import code_digest
from squeezed.foundation.errors import UserError
from squeezed.foundation.precision import autocast, usable_precision
from squeezed.foundation.progress import track
from squeezed.networks.classifier import Classifier
from squeezed.networks.state import load_state
from squeezed.training.adversarial import worst_within
from squeezed.training.batches import batch_length, batches_per_epoch, training_batches
from squeezed.training.optimisation import schedule, sgd
from squeezed.training.resume import ResumeFile
from squeezed.training.settings import TrainingSettings
from squeezed.training.teacher import Mixup, Teacher, distillation_loss
from squeezed.training.team import current_team

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 500
TOO_FEW_VALUES = "Expected more than 1 value per channel"
"""What a batch norm says of a single value, which has no variance."""


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch reached. Losses are mean cross-entropies in nats, accuracies in [0, 1]."""

    epoch: int
    """Counted from 1."""
    train_loss: float
    """Over the augmented images as they were trained on, label smoothing and what a teacher adds
    included."""
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    """At the epoch's last step."""


def evaluate_split(
    model: nn.Module, split: Split, device: torch.device, precision: str = "fp32"
) -> tuple[float, float]:
    """Return (mean cross-entropy, accuracy) of `model`, already on `device`, on a split.

    Where several processes train together, each looks at its share, and all get the result.
    """
    model.eval()
    team = current_team()
    mine = np.arange(len(split))[team.share.of(len(split))]
    loss_sum, correct = 0.0, 0
    with torch.inference_mode():
        for images, labels in split.batches(EVALUATION_BATCH, mine):
            batch = torch.from_numpy(images).to(device, memory_format=torch.channels_last)
            targets = torch.from_numpy(labels).to(device)
            with autocast(device, precision):
                logits = model(batch)
            loss_sum += float(functional.cross_entropy(logits.float(), targets, reduction="sum"))
            correct += int((logits.argmax(dim=1) == targets).sum())
    sums = torch.tensor([loss_sum, correct], dtype=torch.float64, device=device)
    team.add_up(sums)
    return float(sums[0]) / len(split), int(sums[1]) / len(split)


class TrainingRun:
    """One training's moving parts: model, optimiser, schedule, history and best epoch."""

    def __init__(
        self,
        model: Classifier,
        dataset: Dataset,
        settings: TrainingSettings,
        seed: int,
        device: torch.device,
        masks: Mapping[str, Tensor],
        trainable: Iterable[str] | None,
        teacher: Teacher | None = None,
    ) -> None:
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.dataset = dataset
        self.settings = settings
        self.seed = seed
        self.device = device
        self.precision = usable_precision(settings.precision, device)
        parameters = dict(model.network.named_parameters())
        chosen = _chosen_names(parameters, trainable)
        self.required_gradients = [(p, p.requires_grad) for p in parameters.values()]
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in chosen)
        self.masked = _masked_parameters(parameters, masks)
        self.apply_masks()
        self.team = current_team()
        self.team.synchronise_batch_norms(self.model, device)
        self.parallel_model = self.team.wrap(self.model, device)
        self.optimizer = sgd([parameters[name] for name in chosen], settings)
        self.steps_per_epoch = batches_per_epoch(len(dataset.train), settings.batch_size)
        self.share_of_peak = schedule(
            settings.schedule,
            settings.epochs * self.steps_per_epoch,
            settings.warmup_share,
        )
        self.trainable = sorted(chosen)
        self.teacher = teacher if teacher and teacher.weight else None
        if self.teacher:
            self.teacher.model.to(device).to(memory_format=torch.channels_last).eval()
        self.history: list[EpochRecord] = []
        self.best_epoch = 0
        self.best_state: dict[str, Tensor] = {}

    def apply_masks(self) -> None:
        """Set masked weights to zero."""
        with torch.no_grad():
            for parameter, dropped in self.masked:
                parameter.masked_fill_(dropped, 0.0)

    def epoch(self, epoch: int) -> None:
        """Train for one epoch and note what it reached."""
        # All that is random in an epoch follows from this seed, so that a training goes on after
        # any finished epoch as if it had never stopped. (Dropout draws from the global generator.)
        epoch_seed = derived_seed(self.seed, epoch)
        torch.manual_seed(epoch_seed + self.team.share.rank)
        _set_training_mode(self.model)
        alpha = self.settings.augmentation.mixup
        mixup = Mixup(alpha, epoch_seed + self.team.share.rank) if alpha else None
        # Sums stay on the device: reading one would wait for it at each step.
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        learning_rate = 0.0
        images_seen = len(self.dataset.train)
        batches: Iterable[tuple[Tensor, Tensor]] = training_batches(
            self.dataset.train, self.settings, epoch_seed, self.device, self.team.share
        )
        if self.team.leads:
            label = f"epoch {epoch}/{self.settings.epochs}"
            batches = track(batches, label, self.steps_per_epoch)
        for step, (images, labels) in enumerate(batches, (epoch - 1) * self.steps_per_epoch):
            learning_rate = self.settings.learning_rate * self.share_of_peak(step)
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            partners, own_share = labels, 1.0
            if mixup:
                images, partners, own_share = mixup(images, labels)
            loss_of = partial(self._mixed_loss, labels, partners, own_share)
            if self.settings.augmentation.adversarial:
                images = self._against_itself(images, loss_of)
            logits = self._logits(images)
            loss = loss_of(logits)
            if self.teacher:
                loss = self._taught(loss, logits, images)
            self.optimizer.zero_grad(set_to_none=True)
            whole = batch_length(images_seen, self.settings.batch_size, step % self.steps_per_epoch)
            self.team.weigh(loss, len(labels), whole).backward()
            self.optimizer.step()
            self.apply_masks()
            loss_sum += loss.detach() * len(labels)
            correct += (logits.argmax(dim=1) == labels).sum()
        self.team.add_up(loss_sum, correct)
        self.team.agree_on_buffers(self.model)
        validation_loss, validation_accuracy = evaluate_split(
            self.model, self.dataset.validation, self.device, self.precision
        )
        record = EpochRecord(
            epoch=epoch,
            train_loss=float(loss_sum) / images_seen,
            train_accuracy=int(correct) / images_seen,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            learning_rate=learning_rate,
        )
        if not math.isfinite(record.train_loss):
            raise UserError(
                f"the training diverged in epoch {epoch} (its loss is {record.train_loss}): lower "
                "`learning_rate`, or lengthen its rise with `warmup_share`"
            )
        self.history.append(record)
        if not self.best_epoch or _rank(record) > _rank(self.history[self.best_epoch - 1]):
            self.best_epoch = epoch
            self.best_state = {
                name: tensor.detach().cpu().clone()
                for name, tensor in self.model.network.state_dict().items()
            }
        logger.info(
            "epoch %d: training accuracy %.4f, validation accuracy %.4f (loss %.4f)",
            epoch,
            record.train_accuracy,
            validation_accuracy,
            validation_loss,
        )

    def _logits(self, images: Tensor) -> Tensor:
        try:
            with autocast(self.device, self.precision):
                logits: Tensor = self.parallel_model(images)
        except ValueError as error:
            if TOO_FEW_VALUES not in str(error):
                raise
            raise UserError(
                "a batch of a single image is too little for this network's batch norms, whose "
                "maps have shrunk to 1×1: set `batch_size` to at least 4 for each of `processes`, "
                "or take larger images"
            ) from error
        return logits.float()

    def _against_itself(self, images: Tensor, loss_of: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the images changed so that the loss of the network as it is now rises."""
        with autocast(self.device, self.precision):
            changed = worst_within(
                self.model, loss_of, images, self.settings.augmentation.adversarial
            )
        return changed.to(memory_format=torch.channels_last)

    def _mixed_loss(
        self, labels: Tensor, partners: Tensor, own_share: float, logits: Tensor
    ) -> Tensor:
        """Return the loss of images that are mixed with others, whose labels are `partners`."""
        loss = self._loss(logits, labels)
        if partners is labels:
            return loss
        return own_share * loss + (1 - own_share) * self._loss(logits, partners)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.settings.label_smoothing
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

    def _taught(self, loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """Return the loss with the teacher's part in it."""
        assert self.teacher
        with torch.no_grad(), autocast(self.device, self.precision):
            taught = self.teacher.model(images).float()
        soft = distillation_loss(logits, taught, self.teacher.temperature)
        return (1 - self.teacher.weight) * loss + self.teacher.weight * soft

    def fingerprint(self, threads: int) -> str:
        """Return a digest of all that the end of this training is a function of."""
        digest = hashlib.sha256()
        facts = {
            "settings": dataclasses.asdict(self.settings),
            "data": self.dataset.digest,
            "seed": self.seed,
            "device": self.device.type,
            "precision": self.precision,
            "threads": threads,
            "trainable": self.trainable,
            "teacher": self.teacher and [self.teacher.temperature, self.teacher.weight],
            "torch": torch.__version__,
            "code": code_digest(Path(__file__), Path(__file__).parents[2]),
        }
        digest.update(json.dumps(facts, sort_keys=True).encode())
        for model in [self.model, *([self.teacher.model] if self.teacher else [])]:
            for name, tensor in model.network.state_dict().items():
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        for _, dropped in self.masked:
            digest.update(dropped.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, resume: ResumeFile) -> None:
        """Write all that the next epoch starts from."""
        tensors = {f"model.{k}": v for k, v in self.model.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best_state.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors[f"momentum.{index}"] = state["momentum_buffer"]
        history = [dataclasses.asdict(record) for record in self.history]
        resume.save(tensors, {"history": history, "best_epoch": self.best_epoch})

    def restore(self, resume: ResumeFile) -> int:
        """Take up a saved state; return its last finished epoch, 0 if there is none."""
        found = resume.load()
        if found is None:
            return 0
        tensors, state = found
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "momentum": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = tensor
        load_state(self.model.network, groups["model"])
        self.best_state = groups["best"]
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {
            int(index): {"momentum_buffer": tensor} for index, tensor in groups["momentum"].items()
        }
        self.optimizer.load_state_dict(optimizer)
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.best_epoch = state["best_epoch"]
        return len(self.history)


def _chosen_names(
    parameters: Mapping[str, nn.Parameter], trainable: Iterable[str] | None
) -> list[str]:
    if trainable is None:
        return list(parameters)
    chosen = set()
    for wanted in trainable:
        fitting = {name for name in parameters if name == wanted or name.startswith(f"{wanted}.")}
        if not fitting:
            raise ValueError(f"no parameter is named {wanted!r} or is inside of it")
        chosen |= fitting
    return [name for name in parameters if name in chosen]


def _masked_parameters(
    parameters: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor]
) -> list[tuple[nn.Parameter, Tensor]]:
    """Return each masked parameter and where it is zero."""
    masked = []
    for name, kept in masks.items():
        if name not in parameters or parameters[name].shape != kept.shape:
            raise ValueError(f"the mask {name!r} fits no parameter")
        parameter = parameters[name]
        masked.append((parameter, ~kept.bool().to(parameter.device)))
    return masked


def _set_training_mode(model: nn.Module) -> None:
    """Switch to training, but for batch norms that are frozen."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(
            parameter.requires_grad for parameter in module.parameters()
        ):
            module.eval()


def _rank(record: EpochRecord) -> tuple[float, float]:
    return record.validation_accuracy, -record.validation_loss


def derived_seed(seed: int, epoch: int) -> int:
    """Return a seed for one epoch, unlike those of other epochs and seeds."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)
