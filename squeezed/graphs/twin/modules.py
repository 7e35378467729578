"""Layers of the twin that torch.nn has not."""

import torch
from torch import nn


class Normalise(nn.Module):
    """(images − mean) / std, of each channel: what a graph does first with its images."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Hold both, shape (1, channels, 1, 1)."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return normalised images, the shape of `images`."""
        return (images - self.mean) / self.std


class Pad(nn.Module):
    """Constant padding of the trailing axes."""

    def __init__(self, pads: list[int], value: float) -> None:
        """Pad by `pads` (last axis first, before and after, as in torch.nn.functional.pad)."""
        super().__init__()
        self.pads, self.value = pads, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x`, padded."""
        return nn.functional.pad(x, self.pads, value=self.value)

    def extra_repr(self) -> str:
        """Return what is added where."""
        return f"{self.pads}, value={self.value}"
