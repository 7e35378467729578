"""What a network learns from, beside the labels: a teacher, and mixtures of images."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from squeezed.networks.classifier import Classifier
from squeezed.networks.network_file import NetworkCard


@dataclass(frozen=True)
class Teacher:
    """A trained network whose softened outputs another one learns (Hinton et al. 2015)."""

    model: Classifier
    card: NetworkCard
    """Describes `model`, for processes that must build it again."""
    temperature: float
    """T: both networks' logits are divided by it."""
    weight: float
    """Of the teacher's part of the loss, in [0, 1]."""


def distillation_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return T²·KL(teacher ‖ student) of the softened outputs, the mean over images, in nats.

    T² keeps the size of the gradient about the same whatever the temperature (Hinton et al. 2015).

    Args:
        logits: the student's, shape (n, classes).
        taught: the teacher's, of the same shape.
        temperature: T.
    """
    divergence = functional.kl_div(
        functional.log_softmax(logits / temperature, dim=1),
        functional.log_softmax(taught / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2


class Mixup:
    """Images as weighted means of two, with the labels of both (Zhang et al. 2018)."""

    def __init__(self, alpha: float, seed: int) -> None:
        """Draw the weights from Beta(α, α), and the partners, by a generator of their own."""
        self.alpha = alpha
        self.generator = np.random.default_rng([seed, 1])

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return the mixed images, the partners' labels and the share of the image itself."""
        share = float(self.generator.beta(self.alpha, self.alpha))
        partners = torch.from_numpy(self.generator.permutation(len(labels))).to(labels.device)
        return images.lerp(images[partners], 1 - share), labels[partners], share
