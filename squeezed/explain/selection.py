"""Which test images the analyses look at: the same ones for every variant."""

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from squeezed.data.dataset import Dataset, choose_indices, choose_stratified
from squeezed.data.fitness import MEMBERS
from squeezed.foundation.errors import UserError

logger = logging.getLogger(__name__)

CHANGED_AT_MOST = 24
"""Images whose prediction changed, of which maps are made and the report shows a gallery."""


def choose_images(
    dataset: Dataset,
    count: int,
    seed: int,
    classes: list[str] | None = None,
    *,
    neighbours: bool = False,
) -> NDArray[np.int64]:
    """Choose test images at random, of some classes only if asked to.

    Args:
        dataset: the prepared data set.
        count: how many; all there are if there are not more.
        seed: the same gives the same images.
        classes: names (for ImageNet wnids) of the classes to choose from; those that the data set
            has not are left out. None or empty: all classes.
        neighbours: whether each class needs two images at least. Where chance would leave one with
            fewer, images are chosen by class.

    Returns:
        indices into the test split, sorted.

    Raises:
        UserError: if the data set has fewer than two of the classes.
    """
    labels = np.asarray(dataset.test.labels)
    if not classes:
        return _choose(labels, count, seed, neighbours)
    wanted = [label for label, name in enumerate(dataset.class_names) if name in classes]
    missing = [name for name in classes if name not in dataset.class_names]
    if len(wanted) < 2:
        raise UserError(
            f"embedding.classes has {len(wanted)} of the classes of data set {dataset.name!r}, and "
            f"at least two are needed; choose from {_some(dataset.class_names)}, "
            "or leave it empty for all"
        )
    if missing:
        logger.warning("the data set has no class %s: left out", ", ".join(missing))
    candidates = np.flatnonzero(np.isin(labels, wanted))
    return candidates[_choose(labels[candidates], count, seed, neighbours)]


def _choose(
    labels: NDArray[np.int64], count: int, seed: int, neighbours: bool
) -> NDArray[np.int64]:
    chosen = choose_indices(len(labels), count, seed)
    of_each = np.bincount(labels[chosen], minlength=int(labels.max()) + 1)
    if neighbours and bool((of_each[np.unique(labels)] < MEMBERS).any()):
        return choose_stratified(labels, count, seed)
    return chosen


def _some(names: list[str], shown: int = 20) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def choose_changed(predictions: Mapping[str, NDArray[np.generic]]) -> NDArray[np.int64]:
    """Return the positions of the changed predictions, those first of which the variant is surest.

    Args:
        predictions: `index`, `prediction`, `baseline_prediction` and `confidence`, shape (n,).
    """
    changed = np.flatnonzero(predictions["prediction"] != predictions["baseline_prediction"])
    confidence = predictions["confidence"][changed].astype(np.float64)
    order = np.lexsort((predictions["index"][changed], -confidence))
    return changed[order][:CHANGED_AT_MOST]
