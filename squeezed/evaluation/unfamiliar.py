"""Does a network notice that an image is of none of its classes? Scores against another data set.

By OpenOOD's definitions (Yang et al. 2022): a score says how familiar an image seems, unfamiliar
images are what is to be detected. Loads no torch.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from squeezed.foundation.errors import UserError
from squeezed.foundation.files import atomic_path

Floats = NDArray[np.float64]
Images = NDArray[np.float32]
Logits = NDArray[np.floating]

DETECTED = 0.95
"""The share of the unfamiliar images that is to be detected."""


@dataclass(frozen=True)
class UnfamiliarSettings:
    """The section `unfamiliar` of an experiment."""

    dataset: str | None
    images: int
    images_seed: int


@dataclass(frozen=True)
class Scores:
    """How familiar each image seems to one network, by two scores; larger is more familiar."""

    familiar: dict[str, Floats]
    """Of the experiment's own test images, by score, shape (n,)."""
    unfamiliar: dict[str, Floats]
    """Of the other data set's, shape (m,)."""


def familiarity(logits: Logits) -> dict[str, Floats]:
    """Return the scores of images.

    Args:
        logits: shape (n, classes).

    Returns:
        `confidence`, the largest probability (Hendrycks & Gimpel 2017), and `energy`, the logarithm
        of the summed exponentials of the logits (the negative energy of Liu et al. 2020).
    """
    logits = np.asarray(logits, dtype=np.float64)
    largest = logits.max(axis=1)
    summed = np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return {"confidence": np.exp(-summed), "energy": largest + summed}


def auroc(familiar: Floats, unfamiliar: Floats) -> float:
    """Return the probability that a familiar image has the larger score, ties counting half."""
    return float(_placements(familiar, unfamiliar)[0].mean())


def false_alarms(familiar: Floats, unfamiliar: Floats, detected: float = DETECTED) -> float:
    """Return the share of familiar images flagged where `detected` of the unfamiliar ones are.

    Images with a score of at most the threshold are flagged; it is the smallest threshold that
    detects enough.
    """
    count = int(np.ceil(detected * len(unfamiliar)))
    threshold = np.sort(unfamiliar)[count - 1]
    return float((familiar <= threshold).mean())


def unfamiliar_metrics(own: Scores, baseline: Scores | None) -> dict[str, Any]:
    """Return how well unfamiliar images are told apart, and what compression changed of it.

    Intervals are DeLong's (1988) for areas, paired by image for changes, and the bootstrap's for
    false alarms; they are over the images of these networks.

    Args:
        own: the network's scores.
        baseline: the baseline's of the same images; None for the baseline itself.

    Raises:
        UserError: if the baseline's images are others.
    """
    found: dict[str, Any] = {}
    for name, familiar in own.familiar.items():
        unfamiliar = own.unfamiliar[name]
        found |= {"n_images": len(familiar), "n_unfamiliar_images": len(unfamiliar)}
        placements = _placements(familiar, unfamiliar)
        found |= _with_interval(f"auroc_{name}", placements, 0.0)
        found |= _false_alarm_metrics(f"fpr95_{name}", familiar, unfamiliar)
        if baseline is None:
            continue
        others = (baseline.familiar[name], baseline.unfamiliar[name])
        if [len(part) for part in others] != [len(familiar), len(unfamiliar)]:
            raise UserError("the baseline's unfamiliar images are others: delete them, run again")
        before = _placements(*others)
        change = tuple(ours - theirs for ours, theirs in zip(placements, before, strict=True))
        found |= _with_interval(f"auroc_{name}_change", (change[0], change[1]), -1.0)
    return found


def resized(images: Images, size: tuple[int, int]) -> Images:
    """Return images of another height and width, bilinearly; as they are where they fit."""
    if images.shape[-2:] == size:
        return images
    pixels = np.round(images * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    pictures = [
        np.asarray(Image.fromarray(p).resize((size[1], size[0]), Image.Resampling.BILINEAR))
        for p in pixels
    ]
    return np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)


def write_scores(path: str | Path, scores: Scores) -> None:
    """Write one line for each image, the familiar ones first, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["familiar", *scores.familiar])
        for is_familiar, part in ((1, scores.familiar), (0, scores.unfamiliar)):
            for row in zip(*part.values(), strict=True):
                writer.writerow([is_familiar, *map(repr, map(float, row))])


def read_scores(path: str | Path) -> Scores:
    """Read what `write_scores` wrote."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "familiar"]

    def part(of: str) -> dict[str, Floats]:
        chosen = [row for row in rows if row["familiar"] == of]
        return {name: np.array([float(row[name]) for row in chosen]) for name in names}

    return Scores(part("1"), part("0"))


def _placements(familiar: Floats, unfamiliar: Floats) -> tuple[Floats, Floats]:
    """Return for each image which share of the others it is on the right side of."""
    return _share_below(familiar, unfamiliar), 1 - _share_below(unfamiliar, familiar)


def _share_below(values: Floats, others: Floats) -> Floats:
    """Return for each value the share of the others below it, equal ones counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return below / (2 * len(others))


def _with_interval(name: str, placements: tuple[Floats, Floats], least: float) -> dict[str, float]:
    value = float(placements[0].mean())
    if min(map(len, placements)) < 2:
        return {name: value}
    error = sum(part.var(ddof=1) / len(part) for part in placements) ** 0.5
    low, high = value - 1.96 * error, value + 1.96 * error
    return {name: value, f"{name}_low": max(least, low), f"{name}_high": min(1.0, high)}


def _false_alarm_metrics(
    name: str, familiar: Floats, unfamiliar: Floats, resamples: int = 500
) -> dict[str, float]:
    generator = np.random.default_rng(0)

    def anew(part: Floats) -> Floats:
        return part[generator.integers(0, len(part), len(part))]

    drawn = [false_alarms(anew(familiar), anew(unfamiliar)) for _ in range(resamples)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = false_alarms(familiar, unfamiliar)
    return {name: value, f"{name}_low": float(low), f"{name}_high": float(high)}
