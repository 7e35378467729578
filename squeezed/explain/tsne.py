"""t-SNE maps with openTSNE's defaults, and laying one map over another."""

import copy
import functools
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from openTSNE import TSNE
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.initialization import pca, random
from threadpoolctl import threadpool_limits

from squeezed.explain.neighbours import Floats
from squeezed.explain.spread import has_spread
from squeezed.foundation.errors import UserError
from squeezed.foundation.progress import track

Map = NDArray[np.float64]

logging.getLogger("openTSNE").setLevel(logging.ERROR)  # it announces its defaults at every run


@dataclass(frozen=True)
class TsneMaps:
    """Maps of the same images, each of shape (n, 2)."""

    drawn: Map
    """From PCA initialisation: the one in the figure."""
    random_runs: list[Map]
    """From random initialisations: how much a score depends on the run."""


def check_perplexity(images: int, perplexity: float) -> None:
    """Check that there are the 3 × perplexity neighbours that each image's affinities span.

    Raises:
        UserError: if there are fewer; openTSNE would silently take a smaller perplexity.
    """
    needed = int(3 * perplexity) + 1
    if images < needed:
        raise UserError(
            f"a perplexity of {perplexity:g} needs at least {needed} images, and there are "
            f"{images}; lower tsne.perplexity to {max((images - 1) // 3, 1)} or less, "
            "or raise embedding.images"
        )


def tsne_maps(
    features: Floats, *, perplexity: float, random_runs: int, seed: int, threads: int
) -> TsneMaps:
    """Map features to the plane, once from PCA and several times from random positions.

    Features that are the same for every image have no map: all images stay at the origin.

    Args:
        features: shape (n, d).
        perplexity: how many neighbours an image has, softly.
        random_runs: how many runs from random positions, with seeds `seed`, `seed` + 1, …
        seed: of the approximate neighbours and of the first random run.
        threads: of each run; another number of them may give another map.

    Raises:
        UserError: if there are too few images for the perplexity.
    """
    check_perplexity(len(features), perplexity)
    if not has_spread(features):
        nowhere = np.zeros((len(features), 2))
        return TsneMaps(nowhere, [nowhere] * random_runs)
    with threadpool_limits(threads):
        affinities = PerplexityBasedNN(
            features, perplexity=perplexity, n_jobs=threads, random_state=seed
        )
        starts = [pca(features, random_state=seed)]
    starts += [random(len(features), random_state=seed + run) for run in range(random_runs)]
    run = functools.partial(_map_from, affinities=affinities, seed=seed, threads=threads)
    maps = [run(start) for start in track(starts, "t-SNE runs")]
    return TsneMaps(maps[0], maps[1:])


def _map_from(start: Map, *, affinities: PerplexityBasedNN, seed: int, threads: int) -> Map:
    own = copy.deepcopy(affinities)  # exaggeration multiplies them in place, and rounds
    with threadpool_limits(threads):
        tsne = TSNE(n_jobs=threads, random_state=seed)
        return np.asarray(tsne.fit(affinities=own, initialization=start), dtype=np.float64)


def align(points: Map, target: Map) -> tuple[Map, float | None]:
    """Turn, mirror, scale and shift a map onto another of the same images (Procrustes).

    Args:
        points: shape (n, 2).
        target: shape (n, 2).

    Returns:
        the aligned points, and the share of the target's variance that they miss, in [0, 1];
        None, and the points as they are, where either map has all images at one place.
    """
    if not (has_spread(points) and has_spread(target)):
        return points, None
    centre, target_centre = points.mean(axis=0), target.mean(axis=0)
    moving, fixed = points - centre, target - target_centre
    u, singular, vt = np.linalg.svd(moving.T @ fixed)
    scale = singular.sum() / np.sum(moving**2)
    disparity = 1 - singular.sum() ** 2 / (np.sum(moving**2) * np.sum(fixed**2))
    return scale * moving @ (u @ vt) + target_centre, float(max(disparity, 0.0))
