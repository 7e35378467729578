"""Scores of single images: their file, their mean with its interval, and paired differences."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.errors import UserError
from squeezed.foundation.files import atomic_path
from squeezed.statistics.intervals import (
    FEWEST_IMAGES,
    bootstrap_mean_interval,
    paired_proportion_interval,
    wilson_interval,
)

Scores = NDArray[np.bool_] | NDArray[np.integer[Any]] | NDArray[np.floating[Any]]


def write_scores(path: str | Path, columns: Mapping[str, Scores]) -> None:
    """Write a CSV file of one row for each image; truth values are 1 and 0, NaN is empty.

    Args:
        path: the file.
        columns: each of shape (n,).
    """
    texts = [_texts(values) for values in columns.values()]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*texts, strict=True))


def read_scores(path: str | Path) -> dict[str, NDArray[np.float64]]:
    """Read what `write_scores` wrote, every column as float64, empty fields as NaN."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    return {
        name: np.array([float(row[column] or "nan") for row in rows])
        for column, name in enumerate(header)
    }


def check_same_images(
    indices: NDArray[np.integer], baseline: NDArray[np.floating] | NDArray[np.integer]
) -> None:
    """Check that a variant and the baseline were asked about the same images.

    Raises:
        UserError: if not; no figure of theirs would compare.
    """
    if not np.array_equal(indices, baseline.astype(np.int64)):
        raise UserError(
            "the baseline's results are of other images than these; make them anew with the same "
            "settings and seed"
        )


def mean_fields(name: str, values: Scores, *, seed: int) -> dict[str, float | None]:
    """Return the mean of per-image scores and its 95 % interval, named for a result.

    Shares of images get Wilson's interval, other means that of the bootstrap. Images without a
    score (NaN) are left out. Where none has one, the fields are None; where fewer than
    `FEWEST_IMAGES` have, there is a mean without an interval.

    Args:
        name: of the mean; the interval's ends are called `{name}_low` and `{name}_high`.
        values: shape (n,).
        seed: of the bootstrap.
    """
    if values.dtype == np.bool_:
        low, high = wilson_interval(int(values.sum()), len(values))
        return _fields(name, float(values.mean()), low, high)
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return _fields(name, None, None, None)
    if len(known) < FEWEST_IMAGES:
        return _fields(name, float(known.mean()), None, None)
    return _fields(name, float(known.mean()), *bootstrap_mean_interval(known, seed=seed))


def difference_fields(
    name: str, values: Scores, baseline: Scores, *, seed: int
) -> dict[str, float | None]:
    """Return the mean difference to the baseline on the same images, as `{name}_difference`.

    Differences of shares get Tango's interval, others that of the bootstrap.

    Args:
        name: of the score.
        values: shape (n,).
        baseline: the baseline's, shape (n,), in the same order.
        seed: of the bootstrap.
    """
    differences = np.asarray(values, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    if values.dtype != np.bool_ or np.isnan(differences).any():
        return mean_fields(f"{name}_difference", differences, seed=seed)
    gained, lost = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    low, high = paired_proportion_interval(gained, lost, len(differences))
    return _fields(f"{name}_difference", float(differences.mean()), low, high)


def summary(
    scores: Mapping[str, Scores], baseline: Mapping[str, Scores] | None, *, seed: int
) -> dict[str, float | None]:
    """Return every score's mean and interval and, of a variant, its difference to the baseline.

    Args:
        scores: each of shape (n,), by name.
        baseline: the baseline's on the same images; None for the baseline itself.
        seed: of the bootstrap.
    """
    fields: dict[str, float | None] = {}
    for name, values in scores.items():
        fields |= mean_fields(name, values, seed=seed)
        if baseline is not None:
            fields |= difference_fields(name, values, baseline[name], seed=seed)
    return fields


def _fields(
    name: str, mean: float | None, low: float | None, high: float | None
) -> dict[str, float | None]:
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _texts(values: Scores) -> list[str]:
    if values.dtype == np.bool_ or np.issubdtype(values.dtype, np.integer):
        return [str(int(value)) for value in values]
    return ["" if np.isnan(value) else repr(float(value)) for value in values]  # exact
