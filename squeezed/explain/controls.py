"""Maps that know nothing of the network: a score means nothing that they reach too."""

import math

import torch
from torch import Tensor
from torch.nn import functional

RANDOM = "random"
CONTROLS = (RANDOM, "centre", "edge")


def control_maps(name: str, images: Tensor, *, seed: int) -> Tensor:
    """Return a control's maps, shape (n, H, W), at least 0.

    Args:
        name: `random` (independent uniform noise), `centre` (a Gaussian over the middle, its
            deviation a quarter of each side) or `edge` (Sobel's gradient of the brightness).
        images: shape (n, 3, H, W).
        seed: of the noise.
    """
    n, _, height, width = images.shape
    if name == RANDOM:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(n, height, width, generator=generator).to(images.device)
    if name == "centre":
        down = (torch.arange(height, device=images.device) - (height - 1) / 2) / (height / 4)
        across = (torch.arange(width, device=images.device) - (width - 1) / 2) / (width / 4)
        prior = torch.exp(-(down[:, None] ** 2 + across[None, :] ** 2) / 2)
        return prior.expand(n, height, width).clone()
    if name == "edge":
        return _sobel(images.mean(dim=1, keepdim=True))[:, 0]
    raise ValueError(f"there is no control {name!r}; choose from {', '.join(CONTROLS)}")


def blurred(images: Tensor, deviation: float) -> Tensor:
    """Blur images, shape (n, C, H, W), with a Gaussian of this deviation in pixels."""
    radius = min(math.ceil(2 * deviation), images.shape[2] - 1, images.shape[3] - 1)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-((offsets / deviation) ** 2) / 2)
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    padded = functional.pad(images, (radius,) * 4, mode="reflect")
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    blurry = functional.conv2d(padded, down, groups=channels)
    return functional.conv2d(blurry, across, groups=channels)


def _sobel(brightness: Tensor) -> Tensor:
    kernel = torch.tensor(
        [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=brightness.device
    )
    kernels = torch.stack([kernel, kernel.T])[:, None]
    padded = functional.pad(brightness, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernels).pow(2).sum(dim=1, keepdim=True).sqrt()
