"""Exact nearest neighbours and distances, in bounded memory, with numpy alone.

scikit-learn has them too, but importing it costs more time than most of these jobs compute.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

CHUNK_ROWS = 512


def distance_chunks(points: Floats) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield rows of the matrix of Euclidean distances, a chunk at a time.

    Args:
        points: shape (n, d).

    Yields:
        which rows, and their distances to all points, shape (rows, n), exactly 0 to themselves.
    """
    centred = np.asarray(points, dtype=np.float64)
    centred = centred - centred.mean(axis=0)  # less to cancel in |x|² + |y|² − 2xy
    squares = np.einsum("ij,ij->i", centred, centred)
    for start in range(0, len(centred), CHUNK_ROWS):
        rows = slice(start, min(start + CHUNK_ROWS, len(centred)))
        squared = squares[rows, None] + squares[None, :] - 2 * (centred[rows] @ centred.T)
        distances = np.sqrt(np.maximum(squared, 0))
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = 0
        yield rows, distances


def nearest(distances: NDArray[np.float64], rows: slice, count: int) -> Integers:
    """Return each row's `count` nearest other points, nearest first, shape (rows, count).

    Args:
        distances: shape (rows, n), as `distance_chunks` yields them.
        rows: which points the rows are; no point is its own neighbour.
        count: less than n.
    """
    others = distances.copy()
    others[np.arange(len(others)), np.arange(rows.start, rows.stop)] = np.inf
    chosen = np.argpartition(others, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(others, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)


def nearest_neighbours(points: Floats, count: int) -> Integers:
    """Return each point's `count` nearest other points, nearest first, shape (n, count)."""
    return np.concatenate(
        [nearest(distances, rows, count) for rows, distances in distance_chunks(points)]
    )


def vote(neighbour_labels: Integers, classes: int) -> Integers:
    """Return the class that most neighbours have; of equally frequent ones, the nearest's.

    Args:
        neighbour_labels: shape (n, k), nearest first, values in [0, classes).
    """
    n, k = neighbour_labels.shape
    # One vote each, and a half, a quarter, … more: it breaks ties and never outweighs a vote.
    weights = 1 + 0.5 ** np.arange(1, k + 1)
    votes = np.zeros((n, classes))
    for position in range(k):
        votes[np.arange(n), neighbour_labels[:, position]] += weights[position]
    return np.argmax(votes, axis=1)
