"""The state of the images that are being attacked together, a fixed number at a time."""

import torch
from torch import Tensor

from squeezed.attacks.victim import Victim

SHRINK = 1 - 1e-6
"""Keeps atanh finite at pixels of exactly 0 and 1: they start 5e-7 inside."""


def to_tanh_space(images: Tensor) -> Tensor:
    """Return w with (tanh(w) + 1) / 2 within 1e-6 of `images`, finite for every pixel in [0, 1]."""
    return torch.atanh((2 * images.double() - 1) * SHRINK).float()


def from_tanh_space(w: Tensor) -> Tensor:
    """Return (tanh(w) + 1) / 2, computed as sigmoid(2w), which is exact near 0 too."""
    return (2 * w).sigmoid_()


class Rows:
    """A fixed number of rows; each works on one image at a time, then takes the next."""

    def __init__(self, victim: Victim, images: Tensor, classes: Tensor, targeted: bool) -> None:
        count = victim.rows(images.shape[1:])
        device = victim.device

        def per_row(value: float, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.full((count,), value, dtype=dtype, device=device)

        def per_pixel() -> Tensor:
            empty = torch.zeros(count, *images.shape[1:], device=device)
            return empty.to(memory_format=torch.channels_last)

        self.images, self.image_classes, self.targeted = images, classes, targeted
        self.success = torch.zeros(len(images), dtype=torch.bool)
        self.best, self.last = images.clone(), images.clone()
        self.best_constant = torch.zeros(len(images))
        self.spent = torch.zeros(len(images), dtype=torch.int64)

        self.occupied = per_row(False, torch.bool)
        self.image = [-1] * count
        self.search_step = [0] * count
        self.start, self.start_w = per_pixel(), per_pixel()
        self.w, self.mean, self.square = per_pixel(), per_pixel(), per_pixel()
        self.nearest, self.nearest_in_step = per_pixel(), per_pixel()
        self.nearest_distance = per_row(torch.inf)
        self.distance_in_step = per_row(torch.inf)
        self.nearest_constant = per_row(0)
        self.classes = per_row(0, torch.int64)
        self.iteration = per_row(0, torch.int64)
        self.constant, self.lower, self.upper = per_row(1), per_row(0), per_row(torch.inf)
        self.previous_loss = per_row(torch.inf)

    def load(self, row: int, image: int, constant: float) -> None:
        """Begin with an image in a row."""
        self.image[row] = image
        self.occupied[row] = True
        self.search_step[row] = 0
        self.start_w[row] = to_tanh_space(self.images[image]).to(self.w.device)
        # Distances are from what w stands for at the start, within 1e-6 of the image, so that
        # without a gradient from the classes nothing moves at all. Those that are reported are
        # computed afterwards, from the image itself.
        self.start[row] = from_tanh_space(self.start_w[row])
        self.nearest_distance[row] = torch.inf
        self.classes[row] = self.image_classes[image]
        self.lower[row], self.upper[row] = 0, torch.inf
        self.begin_step(row, constant)

    def begin_step(self, row: int, constant: float | Tensor) -> None:
        """Begin a search step of a row's image with a new c."""
        self.w[row] = self.start_w[row]
        self.mean[row] = 0
        self.square[row] = 0
        self.iteration[row] = 0
        self.constant[row] = constant
        self.distance_in_step[row] = torch.inf
        self.previous_loss[row] = torch.inf

    def store(self, row: int, last: Tensor) -> None:
        """Write down what was found for a row's image, and free the row."""
        image = self.image[row]
        self.occupied[row] = False
        self.last[image] = last.cpu()
        if torch.isfinite(self.nearest_distance[row]):
            self.success[image] = True
            self.best[image] = self.nearest[row].cpu()
            self.best_constant[image] = self.nearest_constant[row].cpu()
