"""What a model wants its images to be: range, mean, deviation, order of the channels."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.errors import UserError

Floats = NDArray[np.float32]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""In the order blue, green, red."""


@dataclass(frozen=True)
class Preprocessing:
    """From a pixel in [0, 1] to a model's input: into `range`, minus `mean`, over `std`."""

    range: tuple[float, float] = (0.0, 1.0)
    """What black and white are before `mean` is subtracted: (0, 1), (0, 255), (-1, 1)."""
    mean: tuple[float, ...] = (0.0,)
    """In units of `range`; one for all channels, or one each in the model's order of them."""
    std: tuple[float, ...] = (1.0,)
    """As `mean`."""
    channel_order: Literal["RGB", "BGR"] = "RGB"

    @property
    def is_plain(self) -> bool:
        """Whether nothing is done to the pixels' values."""
        return (self.range, set(self.mean), set(self.std)) == ((0.0, 1.0), {0.0}, {1.0})

    def normalisation(self, channels: int) -> tuple[Floats, Floats]:
        """Return mean and deviation of pixels in [0, 1], in the order RGB, shape (channels,).

        Raises:
            UserError: if there are neither one nor `channels` numbers, or a deviation is not
                above 0.
        """
        low, high = self.range
        if high <= low:
            raise UserError(f"the range {low:g}, {high:g} of the pixels must rise")
        columns = []
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise UserError(
                    f"{name} has {len(values)} numbers, but the model has {channels} "
                    f"channel{'s' if channels > 1 else ''}: give one for all, or one each"
                )
            column = np.resize(np.array(values, dtype=np.float64), channels)
            columns.append(column[::-1] if self.channel_order == "BGR" else column)
        mean, std = columns
        if not np.isfinite(mean).all() or not (np.isfinite(std) & (std > 0)).all():
            raise UserError("mean must be numbers, and std numbers above 0")
        span = high - low
        return ((mean - low) / span).astype(np.float32), (std / span).astype(np.float32)

    def apply(self, images: Floats) -> Floats:
        """Return what the model sees of images (n, C, H, W) in [0, 1]."""
        channels = images.shape[1]
        mean, std = self.normalisation(channels)
        shape = (1, channels, 1, 1)
        seen = (images - mean.reshape(shape)) / std.reshape(shape)
        return np.ascontiguousarray(seen[:, ::-1]) if self.channel_order == "BGR" else seen

    def in_words(self) -> str:
        """Return it as a sentence names it."""
        low, high = self.range
        words = f"pixels from {low:g} to {high:g}"
        if set(self.mean) != {0.0} or set(self.std) != {1.0}:
            words += f" with mean {_numbers(self.mean)} and std {_numbers(self.std)}"
        return f"{words}, {self.channel_order}"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))


_VALUES = (
    Preprocessing(),
    Preprocessing(range=(0.0, 255.0)),
    Preprocessing(range=(-1.0, 1.0)),
    Preprocessing(range=(0.0, 255.0), mean=(127.0,), std=(128.0,)),
    Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD),
    Preprocessing(mean=CIFAR10_MEAN, std=CIFAR10_STD),
    Preprocessing(range=(0.0, 255.0), mean=CAFFE_MEAN[::-1]),
)


def usual_preprocessings(channels: int, whole_numbers: bool) -> list[Preprocessing]:
    """Return the preprocessings that models are usually trained with.

    Args:
        channels: of the model; with one there is no order of them.
        whole_numbers: the model takes the pixels themselves, so that only their order is open.
    """
    values = _VALUES[:1] if whole_numbers else _VALUES
    if channels != 3:
        return [p for p in values if len(p.mean) == 1]
    turned = [Preprocessing(p.range, p.mean[::-1], p.std[::-1], "BGR") for p in values]
    return [*values, *turned]
