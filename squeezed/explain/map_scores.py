"""How far a map can be trusted, and how well it separates the classes: scores of each image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from squeezed.explain.neighbours import (
    Floats,
    Integers,
    distance_chunks,
    nearest_neighbours,
    vote,
)
from squeezed.explain.spread import has_spread
from squeezed.foundation.errors import UserError

MapScores = dict[str, NDArray[np.float64] | NDArray[np.bool_]]
"""Scores of each image in one map, shape (n,): `trustworthiness` is 1 where the map's neighbours
are the features' neighbours, and its mean is the map's; `map_knn_accuracy` is whether the vote of
the map's nearest neighbours gives the right class."""


def score_maps(
    features: Floats, maps: Sequence[Floats], labels: Integers, neighbours: int
) -> list[MapScores]:
    """Score maps of the same images against the features that they were made from.

    Trustworthiness is Venna and Kaski's (2001): it counts the map's neighbours that are intruders,
    by how far down the features' order of neighbours they are.

    All are NaN where the features are the same for every image: any map would be true of them.

    Args:
        features: shape (n, d).
        maps: each of shape (n, 2).
        labels: shape (n,).
        neighbours: the k of both scores.

    Raises:
        UserError: if there are too few images for so many neighbours.
    """
    n, k = len(features), neighbours
    if 2 * n - 3 * k - 1 <= 0 or k >= n / 2:
        raise UserError(
            f"{n} images are too few for the trustworthiness of {k} neighbours; lower "
            "tsne.neighbours below half the number of images, or raise embedding.images"
        )
    if not has_spread(features):
        unknown = np.full(n, np.nan)
        return [{"trustworthiness": unknown, "map_knn_accuracy": unknown} for _ in maps]
    present, classes = np.unique(labels, return_inverse=True)
    found = [nearest_neighbours(points, k) for points in maps]
    penalties = [np.empty(n) for _ in maps]
    for rows, distances in distance_chunks(features):
        index = np.arange(len(distances))[:, None]
        for penalty, neighbour in zip(penalties, found, strict=True):
            total = np.zeros(len(distances))
            to_neighbours = distances[index, neighbour[rows]]
            for position in range(k):
                # Ranks start at 1, which is the image itself at distance 0.
                rank = np.sum(distances < to_neighbours[:, position, None], axis=1)
                total += np.maximum(rank - k, 0)
            penalty[rows] = total
    scale = 2 / (k * (2 * n - 3 * k - 1))
    return [
        {
            "trustworthiness": 1 - scale * penalty,
            "map_knn_accuracy": vote(classes[neighbour], len(present)) == classes,
        }
        for penalty, neighbour in zip(penalties, found, strict=True)
    ]


def spread_fields(runs: Sequence[MapScores]) -> dict[str, float | list[float] | None]:
    """Return each score's values over runs, `{score}_runs`, and their deviation, `{score}_spread`.

    Both are None where nothing was scored.

    Args:
        runs: scores of maps that differ in their random start alone, at least two.
    """
    fields: dict[str, float | list[float] | None] = {}
    for name in runs[0]:
        values = [float(scores[name].mean()) for scores in runs]
        if np.isnan(values).any():
            fields |= {f"{name}_spread": None, f"{name}_runs": None}
            continue
        fields[f"{name}_spread"] = float(np.std(values, ddof=1))
        fields[f"{name}_runs"] = values
    return fields
