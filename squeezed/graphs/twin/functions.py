"""The small functions that a twin calls where torch has none of the kind."""

from collections.abc import Sequence

import torch


def repeat_for_each_image(
    row: torch.Tensor, images: torch.Tensor, times: int, offset: int
) -> torch.Tensor:
    """Return constants (1, ...) repeated times · n + offset times, for n images."""
    return row.expand(times * images.shape[0] + offset, *row.shape[1:])


def reshape_with_batch(
    x: torch.Tensor, images: torch.Tensor, sizes: Sequence[tuple[int, int]]
) -> torch.Tensor:
    """Return `x` in the shape whose axes are a · n + b long, for n images."""
    n = images.shape[0]
    return x.reshape([a * n + b for a, b in sizes])


def expand_with_batch(
    x: torch.Tensor, images: torch.Tensor, sizes: Sequence[tuple[int, int]]
) -> torch.Tensor:
    """Return `x` expanded to the shape whose axes are a · n + b long, for n images."""
    n = images.shape[0]
    return x.expand([a * n + b for a, b in sizes])


def from_integers(q: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor) -> torch.Tensor:
    """Return the real numbers (q − zero point) · scale."""
    return (q - zero_point) * scale


def to_integers(x: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor) -> torch.Tensor:
    """Return the integers, as floating-point numbers, of real numbers on a grid."""
    return x / scale + zero_point


def advance_with_each_image(
    row: torch.Tensor, step: torch.Tensor, images: torch.Tensor, times: int, offset: int
) -> torch.Tensor:
    """Return row + i · step for i up to times · n + offset, for n images."""
    count = times * images.shape[0] + offset
    return row + step * torch.arange(count, device=row.device).view(-1, *[1] * (row.dim() - 1))
