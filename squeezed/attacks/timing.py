"""How long an attack takes for an image, all variants of a seed measured side by side."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from squeezed.attacks.configured import ConfiguredAttack
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim
from squeezed.foundation.progress import track

WARM_UP_STEPS = 3


@dataclass
class _Timed:
    """A victim, the images that it classifies correctly, and what their attacks took."""

    victim: Victim
    images: Tensor
    labels: Tensor
    wall_ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)


def time_attack(
    victims: Mapping[str, Victim],
    images: Tensor,
    labels: Tensor,
    attack: ConfiguredAttack,
    *,
    repeats: int,
) -> dict[str, dict[str, Any]]:
    """Time the attack on each victim in turn, so that a noisy machine slows all of them alike.

    Each is attacked on the images that it classifies correctly, after a warm-up. Their number is a
    multiple of the victim's rows, so that no time goes into padding: images beyond are left out,
    and fewer than the rows are taken again and again.

    Args:
        victims: what to attack, by the variant's name.
        images: (n, 3, H, W) in [0, 1].
        labels: (n,), int64.
        attack: untargeted.
        repeats: timed attacks on each, at least 1.

    Returns:
        For each victim the median, smallest and largest wall time over the repeats, in ms for an
        image, the median processor time, and the number of images of an attack. Times are None
        where no image can be attacked.
    """
    timed = {name: _choose(victim, images, labels) for name, victim in victims.items()}
    for each in timed.values():
        _warm_up(each)
    for _ in track(range(repeats), "time the attack"):
        for each in timed.values():
            if len(each.images):
                _attack_once(each, attack)
    return {name: _figures(each) for name, each in timed.items()}


def _choose(victim: Victim, images: Tensor, labels: Tensor) -> _Timed:
    right = victim.logits(images).argmax(dim=1) == labels
    images, labels = images[right], labels[right]
    rows = victim.rows(images.shape[1:])
    if not len(images):
        return _Timed(victim, images, labels)
    chosen = torch.arange(max(1, len(images) // rows) * rows) % len(images)
    return _Timed(victim, images[chosen], labels[chosen])


def _warm_up(timed: _Timed) -> None:
    victim, rows = timed.victim, timed.victim.rows(timed.images.shape[1:])
    if len(timed.images):
        images = timed.images[:rows].to(victim.device, memory_format=torch.channels_last)
        margin = Margin(timed.labels[:rows].to(victim.device))
        for _ in range(WARM_UP_STEPS):
            victim.step(images, margin.loss)


def _attack_once(timed: _Timed, attack: ConfiguredAttack) -> None:
    wall, used = time.perf_counter(), time.process_time()
    attack.run(timed.victim, timed.images, timed.labels)
    if timed.victim.device.type == "cuda":
        torch.cuda.synchronize(timed.victim.device)
    count = len(timed.images)
    timed.wall_ms.append(1000 * (time.perf_counter() - wall) / count)
    timed.processor_ms.append(1000 * (time.process_time() - used) / count)


def _figures(timed: _Timed) -> dict[str, Any]:
    walls = timed.wall_ms
    name = "attack_time_per_image_ms"
    return {
        name: statistics.median(walls) if walls else None,
        f"{name}_min": min(walls, default=None),
        f"{name}_max": max(walls, default=None),
        "attack_cpu_time_per_image_ms": statistics.median(timed.processor_ms) if walls else None,
        "n_timed": len(timed.images),
    }
