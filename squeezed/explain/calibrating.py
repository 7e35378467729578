"""The temperature at which a network's probabilities are read: scores follow what it knows."""

import numpy as np
import torch
from torch import Tensor, nn

from squeezed.data.dataset import Dataset, choose_stratified
from squeezed.statistics.temperature import fit_temperature

IMAGES = 1000
"""Images that the temperature is fitted on; more hardly change it."""
BATCH = 250


@torch.no_grad()
def calibrating_temperature(
    model: nn.Module, dataset: Dataset, device: torch.device, *, seed: int
) -> tuple[float, str, int]:
    """Fit a network's temperature (Guo et al. 2017) on images that no score is read from.

    The area under a curve of probabilities moves with a network's confidence alone. Divided by its
    temperature, logits times any factor give the same probabilities.

    Args:
        model: images in [0, 1] to logits, on `device`.
        dataset: its validation images are taken, or training images where it has none.
        device: to compute on.
        seed: of the choice of images, as many of each class as its share.

    Returns:
        the temperature, the split that it was fitted on, and how many of its images.
    """
    name = "validation" if len(dataset.validation) else "train"
    split = dataset.validation if name == "validation" else dataset.train
    chosen = choose_stratified(np.asarray(split.labels), IMAGES, seed)
    logits: list[Tensor] = [
        model(torch.from_numpy(images).to(device)) for images, _ in split.batches(BATCH, chosen)
    ]
    labels = np.asarray(split.labels)[chosen]
    found = fit_temperature(torch.cat(logits).float().cpu().numpy(), labels)
    return found, name, len(chosen)
