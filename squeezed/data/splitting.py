"""Seeded, stratified holding-out: each class gives the same share."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from squeezed.data.dataset import Labels
from squeezed.foundation.errors import UserError


def hold_out(
    labels: Labels, fraction: float, seed: int, class_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide images into those that are kept and those that are held out.

    Args:
        labels: each image's class, shape (n,).
        fraction: share that is held out, in (0, 1): `ceil(fraction × n)` images, divided among the
            classes by their sizes (largest remainders), but each class has some on both sides.
        seed: of the choice.
        class_names: for messages.

    Returns:
        Sorted indices (kept, held out).

    Raises:
        UserError: if a class has a single image: it cannot be on both sides.
    """
    generator = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < 2:
        lonely = class_names[classes[sizes.argmin()]]
        raise UserError(
            f"class {lonely} has only one training image: two are needed, one to train on and one "
            "to hold out for validation"
        )
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in zip(classes, _quotas(sizes, fraction), strict=True)
    ]
    held_out = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def _quotas(sizes: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Divide `ceil(fraction × sizes.sum())` among the classes."""
    exact = fraction * sizes
    quotas = np.floor(exact).astype(np.int64)
    missing = math.ceil(fraction * sizes.sum() - 1e-9) - quotas.sum()
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    return np.clip(quotas, 1, sizes - 1)
