"""Networks to attack, and settings to attack them with."""

import dataclasses
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from squeezed.attacks.arrangement import PAPER
from squeezed.attacks.carlini_wagner import CarliniWagnerSettings
from squeezed.attacks.victim import Victim
from squeezed.networks import Classifier
from tests.twins import twin_of

SHAPE = (3, 4, 4)


def protocol(**changes: Any) -> CarliniWagnerSettings:
    """The paper's settings, with some of them changed."""
    return dataclasses.replace(PAPER, **changes)


class Scaled(nn.Module):
    """A network with multiplied logits."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * self.network(images)


class Linear(nn.Module):
    """Logits that are linear in the pixels."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.linear(images.flatten(1), self.weight, self.bias)


class Detached(nn.Module):
    """A model through which no gradient passes, as a dynamically quantized one."""

    def forward(self, images: Tensor) -> Tensor:
        return images.detach().flatten(1)[:, :3]


def small_network(seed: int = 0, classes: int = 4) -> Classifier:
    """A convolutional network with random weights and batch norm statistics."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, classes),
    )
    for module in network:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.3, 1.0)
    return Classifier(network, [0.5] * 3, [0.25] * 3).eval()


@functools.cache
def small_twin(seed: int = 0, classes: int = 4) -> fx.GraphModule:
    """The twin of `small_network`, for images of 8×8."""
    return twin_of(small_network(seed, classes), (8, 8))


def network_and_images(n: int, seed: int = 0) -> tuple[Victim, Tensor, Tensor]:
    """A victim, images and the labels that it gives them, so that all are attackable."""
    victim = Victim(small_twin(seed))
    images = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return victim, images, victim.logits(images).argmax(dim=1)


def nearest_in_box(image: np.ndarray, normal: np.ndarray, offset: float) -> float:
    """Return the least L2 distance from `image` to normal·x + offset ≤ 0 within [0, 1].

    At the minimum x = clip(image − λ·normal) for the λ ≥ 0 at which the constraint just holds.
    """
    low, high = 0.0, 1.0

    def value(step: float) -> float:
        return float(normal @ np.clip(image - step * normal, 0, 1) + offset)

    while value(high) > 0:
        high *= 2
        if high > 1e9:
            return np.inf  # no image in the box is on the other side
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if value(middle) > 0 else (low, middle)
    return float(np.linalg.norm(np.clip(image - high * normal, 0, 1) - image))
