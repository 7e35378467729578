"""Where each variant looks: columns are images, rows the pictures and each variant's maps."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from squeezed.data.dataset import Dataset
from squeezed.reporting.blocks import MAP_METHODS
from squeezed.reporting.estimates import metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.measures import randomisation_excess
from squeezed.reporting.scores import maps_depend_on_weights
from squeezed.reporting.style import GRID, INK, MUTED, picture_grid, styled, to_svg
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import percent, plain, with_interval

SHOWN, SHOWN_ACROSS = 6, 2
"""Images: as columns, and as rows."""
BESIDE_AT_MOST = 8
"""Variants that fit beside each other."""
RASTER_DPI = 160
HEAT = "inferno"  # even in lightness: it reads the same for colour-blind people and in grey
FULL_HEAT_PERCENTILE = 99.5
WRONG = "#b3400a"


@dataclass(frozen=True)
class CamMaps:
    """The maps of an experiment's variants for the same images."""

    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    variants: Mapping[str, Mapping[str, NDArray[Any]]]
    """By variant: what `map_cam` wrote (maps by method, predictions, probabilities)."""


def cam_maps(experiment: Experiment) -> CamMaps | None:
    """Read the maps of the first seed that the baseline has them for, or return None."""
    for seed in experiment.seeds:
        variants = {}
        for variant in experiment.variants:
            try:
                variants[variant] = load_file(experiment.path(seed, variant, "cam.safetensors"))
            except (OSError, SafetensorError):
                continue
        if "baseline" in variants:
            first = variants["baseline"]
            return CamMaps(first["indices"], first["labels"], variants)
    return None


def choose_shown(labels: Sequence[int] | NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Choose positions of images to draw: the first of each class in turn, `count` at most."""
    labels = np.asarray(labels)
    turn = np.empty(len(labels), dtype=np.int64)  # how many of its class come before an image
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = np.arange(len(members))
    chosen = np.lexsort((labels, turn))[:count]
    return chosen[np.lexsort((chosen, labels[chosen]))]


def randomisation_test(experiment: Experiment, method: str) -> str:
    """Say what the randomisation test of the maps says; nothing where it was not made."""
    name = MAP_METHODS.get(method, method)
    randomised = metric(experiment, "baseline", "cam", f"{method}_randomised_rank_correlation")
    unrelated = metric(experiment, "baseline", "cam", f"{method}_unrelated_rank_correlation")
    excess = randomisation_excess(experiment, method)
    if randomised is None or unrelated is None or excess is None:
        return ""
    passed = maps_depend_on_weights(experiment, method)
    verdict, follows = {
        True: ("passed", ""),
        False: ("failed", f", so that {name} shows the image more than what was learned"),
        None: ("undecided", ": too few images to tell whether that is more than nothing"),
    }[passed]
    return (
        f"Randomisation test (Adebayo et al. 2018) {verdict}: maps of the same network with all "
        f"its layers re-initialised correlate with these by {plain(randomised.value)}, maps of two "
        f"unrelated images by {plain(unrelated.value)} "
        f"(difference {with_interval(excess, plain)}){follows}."
    )


def draw_cam(
    experiment: Experiment, dataset: Dataset | None, classes: Sequence[str], method: str
) -> str | None:
    """Draw the maps of one method as an SVG element, or return None without maps.

    Args:
        experiment: whose maps.
        dataset: what the maps are of.
        classes: the names of its classes in words, by label.
        method: how the maps were made.
    """
    found = cam_maps(experiment)
    if (
        dataset is None
        or found is None
        or not all(method in arrays for arrays in found.variants.values())
    ):
        return None
    # A row for each image where the variants fit beside each other, else a row for each variant.
    across = len(found.variants) <= BESIDE_AT_MOST
    chosen = choose_shown(found.labels, SHOWN_ACROSS if across else SHOWN)
    pictures = dataset.test.images(found.indices[chosen])
    titles = [in_words(name) for name in ("original", *found.variants)]
    with styled():
        shape = (len(chosen), len(titles)) if across else (len(titles), len(chosen))
        figure, grid = picture_grid(*shape, right=0.75)
        figure.set_dpi(RASTER_DPI)
        cells = grid if across else grid.T  # by image, then by variant
        for place, title in enumerate(titles):
            if across:
                cells[0, place].set_title(textwrap.fill(title, 16), fontsize=8.5, loc="center")
            else:
                cells[0, place].set_ylabel(textwrap.fill(title, 14), fontsize=9)
        for row, position in enumerate(chosen):
            true = classes[found.labels[position]]
            _show(cells[row, 0], pictures[row].transpose(1, 2, 0), f"true: {true}", MUTED)
            for place, arrays in enumerate(found.variants.values(), start=1):
                prediction = int(arrays["predictions"][position])
                probability = float(arrays["probabilities"][position])
                right = prediction == found.labels[position]
                _show(
                    cells[row, place],
                    scaled(arrays[method][position]),
                    f"{classes[prediction]}{'' if right else ' ✗'}, {percent(probability)}",
                    INK if right else WRONG,
                )
        place = grid[min(3, len(grid) - 1), -1].get_position()
        corner = grid[0, -1].get_position()
        scale = figure.add_axes(
            (corner.x1 + 0.012, place.y0, 0.012, corner.y1 - place.y0)  # beside the first rows
        )
        bar = figure.colorbar(ScalarMappable(Normalize(0, 1), HEAT), cax=scale)
        bar.set_label("heat: share of the map's full heat", color=MUTED, fontsize=8.5)
        bar.outline.set_visible(False)
        description = f"Maps by {MAP_METHODS.get(method, method)} of {len(chosen)} test images for "
        description += ", ".join(in_words(variant) for variant in found.variants)
        return to_svg(figure, f"cam-{method}-{experiment.name}", description)


def scaled(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Divide a map, shape (H, W), by its full heat and cut it at 1; a map of zeros stays so."""
    values = values.astype(np.float32)
    full = float(np.percentile(values, FULL_HEAT_PERCENTILE)) or float(values.max())
    return np.clip(values / full, 0, 1) if full > 0 else values


def _show(axes: Axes, pixels: NDArray[np.floating], words: str, colour: str) -> None:
    axes.imshow(np.clip(pixels, 0, 1), cmap=HEAT, vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(words, color=colour, fontsize=7.5, labelpad=2)
    for spine in axes.spines.values():
        spine.set(visible=True, color=GRID)
