"""Gradient descent: which parameters move, how far, and how that changes over a training."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from squeezed.training.settings import TrainingSettings


def schedule(name: str, steps: int, warmup_share: float) -> Callable[[int], float]:
    """Return the learning rate of each step (from 0) as a share of the highest.

    Args:
        name: `one_cycle`: linear rise over the warm-up, then linear fall to zero (Smith & Topin
            2019, without the second phase); `cosine`: the same rise, then half a cosine;
            `constant`: the same rise, then the highest.
        steps: of the whole training.
        warmup_share: of the steps, in [0, 1).
    """
    warmup = warmup_share * steps
    falls: dict[str, Callable[[float], float]] = {
        "one_cycle": lambda progress: 1 - progress,
        "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
        "constant": lambda progress: 1.0,
    }
    fall = falls[name]

    def share(step: int) -> float:
        middle = step + 0.5  # of the step: never zero, at either end
        return middle / warmup if middle < warmup else fall((middle - warmup) / (steps - warmup))

    return share


def sgd(parameters: Sequence[nn.Parameter], settings: TrainingSettings) -> torch.optim.SGD:
    """Return SGD with Nesterov momentum; biases and batch norms get no weight decay."""
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    return torch.optim.SGD(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
    )
