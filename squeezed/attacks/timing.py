"""How long an attack takes for an image, measured alone."""

import statistics
import time
from typing import Any

import torch
from torch import Tensor

from squeezed.attacks.carlini_wagner import Protocol, carlini_wagner
from squeezed.attacks.victim import Victim
from squeezed.progress import track


def time_attack(
    victim: Victim, images: Tensor, labels: Tensor, protocol: Protocol, *, repeats: int
) -> dict[str, Any]:
    """Time the attack on images that are classified correctly, after a warm-up.

    The number of images is a multiple of the victim's rows where there are enough, so that no
    time goes into padding.

    Returns:
        Median, smallest and largest wall time over the repeats, in ms for an image, the median
        processor time, and the number of images. Times are None where no image can be attacked.
    """
    right = victim.logits(images).argmax(dim=1) == labels
    images, labels = images[right], labels[right]
    rows = victim.rows(images.shape[1:])
    whole = len(images) // rows * rows or len(images)
    images, labels = images[:whole], labels[:whole]
    if not whole:
        names = ("", "_min", "_max")
        return {f"attack_time_per_image_ms{name}": None for name in names} | {"n_timed": 0}
    carlini_wagner(victim, images[:rows], labels[:rows], Protocol(iterations=3))
    walls, processor = [], []
    for _ in track(range(repeats), "time the attack"):
        wall, used = time.perf_counter(), time.process_time()
        carlini_wagner(victim, images, labels, protocol)
        if victim.device.type == "cuda":
            torch.cuda.synchronize(victim.device)
        walls.append(1000 * (time.perf_counter() - wall) / whole)
        processor.append(1000 * (time.process_time() - used) / whole)
    return {
        "attack_time_per_image_ms": statistics.median(walls),
        "attack_time_per_image_ms_min": min(walls),
        "attack_time_per_image_ms_max": max(walls),
        "attack_cpu_time_per_image_ms": statistics.median(processor),
        "n_timed": whole,
    }
