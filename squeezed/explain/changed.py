"""Where two networks look in the images that they classify otherwise."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from squeezed.data.dataset import Dataset
from squeezed.explain.cam import Pictures, attribution_maps
from squeezed.explain.selection import choose_changed


def changed_maps(
    twin: fx.GraphModule,
    baseline: fx.GraphModule,
    dataset: Dataset,
    predictions: Mapping[str, NDArray[np.float64]],
    methods: Iterable[str],
    layer: str | None = None,
) -> dict[str, NDArray[np.generic]]:
    """Return both networks' maps of changed images, each for the class that it predicts.

    Args:
        twin: the variant's, on the device to compute on.
        baseline: the baseline's twin, on the same device.
        dataset: whose test images.
        predictions: `index`, `prediction`, `baseline_prediction` and `confidence` of the variant
            for each test image, shape (n,).
        methods: of `squeezed.explain.attribution.METHODS`, those that both networks have.
        layer: the layer that Grad-CAM weighs, None for the trunk's last map.

    Returns:
        `changed_indices`, int64 (k,), those first of which the variant is surest; and by method
        `changed_{method}` and `changed_baseline_{method}`, float16 (k, H, W) in [0, 1]. Nothing
        where nothing changed.
    """
    chosen = choose_changed(predictions)
    if not len(chosen):
        return {}
    indices = predictions["index"][chosen].astype(np.int64)
    device = next(twin.parameters()).device
    images = torch.from_numpy(dataset.test.images(indices)).to(device)
    found: dict[str, NDArray[np.generic]] = {"changed_indices": indices}
    for name, network, column in (
        ("changed", twin, "prediction"),
        ("changed_baseline", baseline, "baseline_prediction"),
    ):
        classes = torch.from_numpy(predictions[column][chosen].astype(np.int64)).to(device)
        for method in methods:
            maps = attribution_maps(network, Pictures(images, classes), method, layer)
            found[f"{name}_{method}"] = maps.astype(np.float16)
    return found
