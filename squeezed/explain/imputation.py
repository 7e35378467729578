"""Filling in pixels from their surroundings: noisy linear imputation (Rong et al. 2022).

A patch of one colour is itself a sign of what stood there, and a network may answer to the sign.
What is filled in from around it hardly shows where pixels were removed.
"""

import torch
from torch import Tensor
from torch.nn import functional

NOISE = 0.01
"""Standard deviation of what is added to imputed values, pixels being in [0, 1]: the authors'."""
EXACTNESS = 5e-3
"""Solving ends when no equation is further off than this over the longer side, squared.

The Laplacian of a hole of L pixels takes an error's size down by about 6.6/L², so that imputed
values are then within 0.001, a tenth of the noise.
"""
LEAST_RESIDUAL = 1e-6
"""Rounding in 32 bits leaves this much: it ends there for images of over 70 pixels, where a hole as
large as an image of 224 pixels is known within the noise."""
ELEMENTS = 2**18
"""Values that are solved for at a time: what a processor's cache holds."""


def impute(images: Tensor, removed: Tensor, *, generator: torch.Generator) -> Tensor:
    """Replace removed pixels by what is around them, shape (n, C, H, W).

    Each removed pixel is the weighted mean of its eight neighbours: 1/6 for the four beside it,
    1/12 for the four across its corners, those beyond the border left out. They may be removed
    pixels themselves, so this is a system of linear equations. Noise of `NOISE` is then added to
    each imputed value.

    Args:
        images: shape (n, C, H, W), in [0, 1].
        removed: shape (n, H, W), bool; of each image some pixels at least have to stay.
        generator: of the noise, on the processor.
    """
    noise = torch.randn(images.shape, generator=generator).to(images) * NOISE
    batch = max(1, ELEMENTS // images[0].numel())
    pairs = zip(images.split(batch), removed.split(batch), strict=True)
    smooth = torch.cat([_solve(part, gone[:, None].to(part)) for part, gone in pairs])
    return torch.where(removed[:, None], smooth + noise, images)


def _solve(images: Tensor, removed: Tensor) -> Tensor:
    """Solve the equations of a batch by conjugate gradients, each channel its own system.

    Two neighbours weigh the same in each other, so the matrix is symmetric, and it is positive
    definite: a Laplacian with the pixels that stay as its border. Its diagonal, what the neighbours
    weigh together, preconditions it.

    Args:
        images: shape (n, C, H, W).
        removed: shape (n, 1, H, W), 1 or 0.
    """
    enough = max(EXACTNESS / max(images.shape[2:]) ** 2, LEAST_RESIDUAL)
    weight = _neighbours(torch.ones_like(images[:1, :1]))
    # From the pixels as they are: what is then left to mend is mostly fine, which ends soon.
    found = images.clone()
    rest = removed * (_neighbours(found) - weight * found)
    scaled = rest / weight
    direction = scaled.clone()
    energy = _dot(rest, scaled)
    for _ in range(10 * max(images.shape[2:])):
        if float(scaled.abs().max()) < enough:
            break
        applied = removed * (weight * direction - _neighbours(direction))
        length = energy / _dot(direction, applied).clamp(min=1e-30)
        found += length * direction
        rest -= length * applied
        scaled = rest / weight
        energy, before = _dot(rest, scaled), energy
        direction = scaled + energy / before.clamp(min=1e-30) * direction
    return found


def _neighbours(values: Tensor) -> Tensor:
    """Return the weighted sum of each pixel's neighbours: (1, 2, 1)ᵀ(1, 2, 1)/12 but the middle."""
    padded = functional.pad(values, (1, 1, 1, 1))
    down = (padded[:, :, :-2] + padded[:, :, 2:]).add_(padded[:, :, 1:-1], alpha=2)
    both = (down[..., :-2] + down[..., 2:]).add_(down[..., 1:-1], alpha=2)
    return both.sub_(values, alpha=4).div_(12)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(dim=(2, 3), keepdim=True)
