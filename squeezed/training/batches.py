"""Batches to train on: in a new random order each epoch, augmented as tensors."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from squeezed.data.dataset import Split
from squeezed.data.manifest import FileSplit
from squeezed.data.share import WHOLE, Share
from squeezed.data.streaming import streamed_pixels
from squeezed.data.tensor_file import TensorSplit
from squeezed.foundation.errors import UserError
from squeezed.training.settings import AugmentationSettings, TrainingSettings


def training_batches(
    split: Split,
    settings: TrainingSettings,
    seed: int,
    device: torch.device,
    share: Share = WHOLE,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of (images, labels).

    Args:
        split: the images to train on.
        settings: `batch_size` and `augmentation` matter.
        seed: of the order and the augmentation: another one for each epoch.
        device: where the batches are wanted.
        share: the part of each batch to yield. Order and augmentation are drawn for the whole
            batch, so that an image is treated alike however many processes share it.

    Yields:
        images of shape (n, 3, H, W), float32 in [0, 1], channels-last, and labels of shape (n,).
        The batches of an epoch hold all images once and differ by at most one image in size (batch
        norm would suffer from a small last one).

    Raises:
        UserError: if the augmentation does not fit the split, or an image cannot be read.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.from_numpy(split.labels)
    order = torch.randperm(len(labels), generator=generator)
    chunks = order.tensor_split(batches_per_epoch(len(split), settings.batch_size))
    augmentation = settings.augmentation
    mine = [chosen[share.of(len(chosen))] for chosen in chunks]
    for chosen, own, pixels in zip(
        chunks, mine, _pixels(split, mine, augmentation, seed), strict=True
    ):
        # Augmented as uint8 on the CPU, from the CPU's generator: the same images on any device.
        batch = augment(pixels, augmentation, generator, share, len(chosen)).to(device)
        yield (
            batch.to(memory_format=torch.channels_last).float().div_(255),
            labels[own].to(device),
        )


def _pixels(
    split: Split, chunks: Sequence[Tensor], augmentation: AugmentationSettings, seed: int
) -> Iterator[Tensor]:
    """Yield each chunk's images, uint8 of shape (n, 3, H, W)."""
    if isinstance(split, FileSplit):
        yield from streamed_pixels(split, chunks, augmentation.resized_crop, seed)
        return
    if augmentation.resized_crop is not None:
        raise UserError(
            "`resized_crop` needs a data set of storage `files`, whose images keep their own size; "
            "use `crop_padding` instead"
        )
    assert isinstance(split, TensorSplit)
    pixels = torch.from_numpy(split.pixels)
    for chosen in chunks:
        yield pixels[chosen]


def batches_per_epoch(images: int, batch_size: int) -> int:
    """Return how many batches of at most `batch_size` hold all images."""
    return -(-images // batch_size)


def batch_length(images: int, batch_size: int, index: int) -> int:
    """Return how many images an epoch's batch number `index` (from 0) holds."""
    batches = batches_per_epoch(images, batch_size)
    return images // batches + (index < images % batches)


def smallest_share(images: int, batch_size: int, processes: int) -> int:
    """Return the fewest images that one of an epoch's batches gives to one of the processes.

    Raises:
        UserError: if that is none.
    """
    smallest = images // batches_per_epoch(images, batch_size)
    if smallest < processes:
        raise UserError(
            f"{images} training images in batches of at most {batch_size} make batches of "
            f"{smallest}, too few for {processes} processes: set `processes` to at most "
            f"{smallest}, or `batch_size` to at least {2 * processes}"
        )
    return smallest // processes


def augment(
    batch: Tensor,
    settings: AugmentationSettings,
    generator: torch.Generator,
    share: Share = WHOLE,
    whole: int | None = None,
) -> Tensor:
    """Shift each image at random and mirror half of them.

    Args:
        batch: shape (n, 3, H, W), uint8.
        settings: `crop_padding`: the largest shift in pixels, edges filled by reflection;
            `horizontal_flip`: whether to mirror left to right.
        generator: of the random choices, on the CPU.
        share: which part of a whole batch `batch` is; the choices are drawn for the whole.
        whole: images of that whole batch; default: `batch` is all of it.

    Returns:
        Images of the same shape and type.
    """
    _, _, height, width = batch.shape
    n = len(batch) if whole is None else whole
    part = share.of(n)
    padding = settings.crop_padding
    if padding:
        padded = functional.pad(batch, (padding,) * 4, mode="reflect")
        rows, columns = torch.randint(0, 2 * padding + 1, (2, n), generator=generator)[:, part]
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        batch = windows[torch.arange(len(batch)), :, rows, columns]
    if settings.horizontal_flip:
        mirrored = torch.rand(n, generator=generator)[part] < 0.5
        batch = torch.where(mirrored.view(-1, 1, 1, 1), batch.flip(3), batch)
    return batch
