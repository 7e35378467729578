"""A network with its normalisation inside, so that every model takes images in [0, 1]."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Subtract a mean from each channel and divide by a standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Keep `mean` and `std`, one value for each channel, as buffers of shape (1, C, 1, 1)."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images of shape (n, C, H, W)."""
        return (images - self.mean) / self.std


class Classifier(nn.Module):
    """What every variant is: images (n, 3, H, W) in [0, 1] to logits (n, classes)."""

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """Put the normalisation in front of `network`."""
        super().__init__()
        self.normalise = Normalise(mean, std)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.network(self.normalise(images))
        return logits
