"""Training images read from their files by worker processes, a bounded number ahead."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from squeezed.data.image_files import to_array
from squeezed.data.manifest import FileSplit
from squeezed.foundation.errors import UserError
from squeezed.foundation.workers import configured_workers

LONGEST_ASPECT = 4 / 3


def streamed_pixels(
    split: FileSplit, chunks: Sequence[Tensor], smallest_area: float | None, seed: int
) -> Iterator[Tensor]:
    """Yield each chunk's images; what they are does not depend on the number of workers.

    Args:
        split: where the images are.
        chunks: indices of each batch's images.
        smallest_area: share of an image that its random crop keeps at least; None takes the same
            central square as evaluation.
        seed: of the crops.

    Yields:
        uint8 of shape (n, 3, H, W). At most two batches for each worker are held ahead.

    Raises:
        UserError: if an image cannot be read.
    """
    loader = DataLoader(
        _Images(split, smallest_area, seed),
        batch_sampler=[chunk.tolist() for chunk in chunks],
        num_workers=configured_workers(),
    )
    try:
        yield from loader
    except UserError as error:
        # A worker's error comes with the worker's traceback, its own sentence last.
        sentence = str(error).rpartition(f"{UserError.__name__}: ")[2].removesuffix("\\n")
        raise UserError(sentence) from error


class _Images(Dataset[Tensor]):
    """Decoded images, each cropped by a random choice of its own."""

    def __init__(self, split: FileSplit, smallest_area: float | None, seed: int) -> None:
        self.split = split
        self.seed = seed
        self.crop = None
        if smallest_area is not None:
            from torchvision.transforms import v2  # takes seconds to import

            self.crop = v2.RandomResizedCrop(
                split.pixels(0).shape[1:],
                scale=(smallest_area, 1.0),
                ratio=(1 / LONGEST_ASPECT, LONGEST_ASPECT),
            )

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Tensor:
        if self.crop is None:
            return torch.from_numpy(np.ascontiguousarray(self.split.pixels(index)))
        image = self.split.open(index)
        with torch.random.fork_rng(devices=[]):
            # By image and epoch, not by worker: any number of workers gives the same crops.
            own_seed = np.random.SeedSequence([self.seed, index]).generate_state(1, np.uint64)[0]
            torch.manual_seed(int(own_seed >> 1))
            cropped = self.crop(image)
        return torch.from_numpy(np.ascontiguousarray(to_array(cropped)))
