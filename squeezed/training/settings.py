"""A `training` section of the configuration, complete; config.schema.yaml says what each means."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of the training images."""

    horizontal_flip: bool
    crop_padding: int
    resized_crop: float | None
    mixup: float
    adversarial: float


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained."""

    epochs: int
    batch_size: int
    processes: int
    learning_rate: float
    schedule: str
    warmup_share: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    precision: str
    augmentation: AugmentationSettings
