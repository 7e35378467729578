"""Maps of a variant and all their scores: one image at a time, beside controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from squeezed.explain.attribution import Attributor
from squeezed.explain.controls import CONTROLS, RANDOM, control_maps
from squeezed.explain.faithfulness import (
    perturbation_curves,
    rank_correlation,
    share_on_object,
)
from squeezed.explain.image_scores import mean_fields
from squeezed.explain.randomisation import cascade
from squeezed.explain.road import road
from squeezed.explain.spread import flat_maps
from squeezed.foundation.progress import track

BATCH = 64

Maps = NDArray[np.float32]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Pictures:
    """The images to explain, and what a network says they are."""

    images: Tensor
    """Shape (n, 3, H, W), in [0, 1]."""
    targets: Tensor
    """The class to explain of each image, shape (n,)."""


def attribution_maps(
    twin: fx.GraphModule, pictures: Pictures, method: str, layer: str | None = None
) -> Maps:
    """Return a method's maps, shape (n, H, W), each divided by its highest value (0 stays 0).

    Args:
        twin: on the pictures' device.
        pictures: what to explain.
        method: one of `squeezed.explain.attribution.METHODS`.
        layer: the layer that Grad-CAM weighs, None for the trunk's last map.
    """
    attributor = Attributor(twin, method, layer)
    batches = zip(pictures.images.split(BATCH), pictures.targets.split(BATCH), strict=True)
    maps = torch.cat([attributor.maps(images, targets) for images, targets in batches])
    highest = maps.amax(dim=(1, 2), keepdim=True)
    scaled = torch.where(highest > 0, maps / highest, torch.zeros_like(maps))
    return scaled.cpu().numpy()


def map_scores(
    twin: fx.GraphModule,
    pictures: Pictures,
    maps: dict[str, Maps],
    masks: NDArray[np.bool_] | None,
    *,
    mean_colour: list[float],
    steps: int,
    road_shares: Sequence[float],
    temperature: float,
    seed: int,
) -> dict[str, Scores]:
    """Score the methods' maps and the controls' on each image.

    `{source}_deletion_auc` and `{source}_insertion_auc` are areas under curves of probabilities,
    and say as much of the network as of the map. `{source}_deletion_net` and
    `{source}_insertion_net` are by how much they are better than those of a random map on the same
    network: positive is better. `{source}_road` (in [−1, 1], more is better) is
    `{source}_road_least_relevant` − `{source}_road_most_relevant`, `squeezed.explain.road`.

    Args:
        twin: on the pictures' device.
        pictures: what the maps explain.
        maps: by method, each of shape (n, H, W).
        masks: where the object is, shape (n, H, W), or None.
        mean_colour: what deleted pixels become, one value for each channel.
        steps: of the deletion and insertion curves.
        road_shares: shares of the pixels that ROAD removes.
        temperature: of the network (`squeezed.explain.calibrating`).
        seed: of the random map, of the order of equal pixels and of ROAD's noise.

    Returns:
        by name (`{method or control}_{score}`), each of shape (n,); NaN where a map is the same
        all over, which orders no pixels.
    """
    device = pictures.images.device
    sources = {name: control_maps(name, pictures.images, seed=seed) for name in CONTROLS}
    # The random map first: what the others are compared with.
    sources |= {name: torch.from_numpy(values).to(device) for name, values in maps.items()}
    scores: dict[str, Scores] = {}
    for name, source in track(sources.items(), "maps scored"):
        found = {
            **_areas(twin, pictures, source, mean_colour, steps, temperature, seed),
            **_road(twin, pictures, source, road_shares, seed),
        }
        if masks is not None:
            on_device = torch.from_numpy(masks).to(device)
            found["share_on_object"] = _numpy(share_on_object(source, on_device))
        # Where all pixels are alike there is no order to take them in: that is no score.
        flat = flat_maps(source.cpu().numpy())
        scores |= {f"{name}_{key}": np.where(flat, np.nan, v) for key, v in found.items()}
        if name != RANDOM:
            for area, sign in (("deletion", -1), ("insertion", 1)):
                above = scores[f"{name}_{area}_auc"] - scores[f"{RANDOM}_{area}_auc"]
                scores[f"{name}_{area}_net"] = sign * above
    return scores


def _areas(
    twin: fx.GraphModule,
    pictures: Pictures,
    source: Tensor,
    mean_colour: list[float],
    steps: int,
    temperature: float,
    seed: int,
) -> dict[str, Scores]:
    curves = perturbation_curves(
        twin,
        pictures.images,
        source,
        pictures.targets,
        mean_colour=mean_colour,
        steps=steps,
        seed=seed,
        temperature=temperature,
    )
    return {
        "deletion_auc": _numpy(curves.deletion_auc()),
        "insertion_auc": _numpy(curves.insertion_auc()),
    }


def _road(
    twin: fx.GraphModule,
    pictures: Pictures,
    source: Tensor,
    shares: Sequence[float],
    seed: int,
) -> dict[str, Scores]:
    found = road(twin, pictures.images, source, pictures.targets, shares=shares, seed=seed)
    return {
        "road_most_relevant": _numpy(found.most_relevant),
        "road_least_relevant": _numpy(found.least_relevant),
        "road": _numpy(found.score),
    }


def agreement(
    maps: dict[str, Maps], baseline: dict[str, Maps], pictures: Pictures, *, seed: int
) -> dict[str, Scores]:
    """Correlate maps, and the controls, with the baseline's maps of the same images, by rank.

    Args:
        maps: by method, each of shape (n, H, W).
        baseline: the baseline's, likewise.
        pictures: what the maps explain.
        seed: of the random control.

    Returns:
        `{method}_rank_correlation` and `{method}_rank_correlation_{control}`, each of shape (n,).
    """
    scores = {}
    for method, values in maps.items():
        scores[f"{method}_rank_correlation"] = rank_correlation(values, baseline[method])
        for name in CONTROLS:
            control = control_maps(name, pictures.images, seed=seed).cpu().numpy()
            correlation = rank_correlation(control, baseline[method])
            scores[f"{method}_rank_correlation_{name}"] = correlation
    return scores


def randomisation_test(
    twin: fx.GraphModule,
    pictures: Pictures,
    maps: dict[str, Maps],
    *,
    layer: str | None,
    seed: int,
) -> dict[str, list[tuple[str, Scores]]]:
    """Correlate maps with those of the network re-initialised from its last layer on.

    Args:
        twin: on the pictures' device.
        pictures: what the maps explain; the randomised networks are asked about the same classes.
        maps: by method, each of shape (n, H, W).
        layer: the layer that Grad-CAM weighs, None for the trunk's last map.
        seed: of the re-initialisation.

    Returns:
        for each method, from the last layer to the first: the layer that was re-initialised after
        those before it, and the rank correlations, shape (n,).
    """
    test: dict[str, list[tuple[str, Scores]]] = {method: [] for method in maps}
    steps = cascade(twin, seed=seed)
    for name, randomised in track(steps, "layers re-initialised"):
        for method, values in maps.items():
            others = attribution_maps(randomised, pictures, method, layer)
            test[method].append((name, rank_correlation(values, others)))
    return test


def randomisation_fields(
    test: dict[str, list[tuple[str, Scores]]], maps: dict[str, Maps], *, seed: int
) -> dict[str, Any]:
    """Return what `randomisation_test` found, named for a result.

    For each method: `{method}_randomised_rank_correlation` with every layer re-initialised, the
    same with the last layer alone (`_last_layer`), each layer's mean (`_layers`), and
    `{method}_unrelated_rank_correlation`, that of maps of two different images, which share
    nothing but what all maps have in common. `{method}_randomisation_excess` is by how much the
    first is above the last, paired by image: the test is passed where it is surely small, failed
    where it surely is not, and undecided where its interval says neither. A re-initialised network
    may draw nothing at all, and a map that is the same all over is like none: `…_excess_images`
    counts those that are left.

    Args:
        test: what `randomisation_test` returns.
        maps: by method, each of shape (n, H, W).
        seed: of the intervals.
    """
    fields: dict[str, Any] = {"n_randomisation_images": len(next(iter(maps.values()), ()))}
    for method, layers in test.items():
        name = f"{method}_randomised_rank_correlation"
        fields |= mean_fields(name, layers[-1][1], seed=seed)
        fields |= mean_fields(f"{name}_last_layer", layers[0][1], seed=seed)
        fields[f"{name}_layers"] = [
            mean_fields(name, correlations, seed=seed)[name] for _, correlations in layers
        ]
        unrelated = rank_correlation(maps[method], np.roll(maps[method], 1, axis=0))
        fields |= mean_fields(f"{method}_unrelated_rank_correlation", unrelated, seed=seed)
        excess = layers[-1][1] - unrelated
        fields |= mean_fields(f"{method}_randomisation_excess", excess, seed=seed)
        known = np.count_nonzero(~np.isnan(excess))
        fields[f"{method}_randomisation_excess_images"] = int(known)
    return fields


def _numpy(tensor: Tensor) -> Scores:
    return tensor.double().cpu().numpy()
