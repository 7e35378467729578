"""Figure 5: where each variant looks; rows are images, columns the picture and the variants."""

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
from squeezed.reporting.class_words import in_words
from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import metric
from squeezed.reporting.figures import FigureBlock
from squeezed.reporting.measures import maps_depend_on_weights
from squeezed.reporting.style import GRID, INK, MUTED, new_figure, styled, to_svg
from squeezed.reporting.vocabulary import variant_name
from squeezed.reporting.wording import percent, plain

METHOD_NAMES = {"guided_backprop": "guided backpropagation", "grad_cam": "Grad-CAM"}
SHOWN = 6
CELL = 1.2
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


def cam_block(experiment: Experiment, dataset: Dataset, method: str) -> FigureBlock:
    """Return Figure 5 for the report; without maps it has no drawing.

    Args:
        experiment: whose maps.
        dataset: what the maps are of.
        method: one of `METHOD_NAMES`.
    """
    name = METHOD_NAMES[method]
    return FigureBlock(
        f"cam_{method}",
        f"Figure 5: where the networks look ({name})",
        draw_cam(experiment, dataset, method),
        f"How strongly each pixel speaks for the class that the variant predicts, by {name}. Each "
        "map has its own full heat, the value that half a per cent of its pixels exceed. Under "
        f"each map: the predicted class and its probability. {doubts(experiment, method)}".strip(),
    )


def doubts(experiment: Experiment, method: str) -> str:
    """Say which controls the maps do not beat, and whether they fail the randomisation test."""
    sentences = []
    name = METHOD_NAMES[method]
    randomised = metric(
        experiment, "baseline", "cam", f"{method}_randomised_rank_correlation", images="none"
    )
    unrelated = metric(
        experiment, "baseline", "cam", f"{method}_unrelated_rank_correlation", images="none"
    )
    if randomised is not None and unrelated is not None:
        passed = maps_depend_on_weights(experiment, method)
        sentences.append(
            f"Randomisation test (Adebayo et al. 2018) {'passed' if passed else 'failed'}: maps of "
            "the same network with all its layers re-initialised still correlate with these by "
            f"{plain(randomised.value)} (maps of two unrelated images: {plain(unrelated.value)})"
            + ("." if passed else f", so that {name} shows the image more than what was learned.")
        )
    return " ".join(sentences)


def draw_cam(experiment: Experiment, dataset: Dataset, method: str) -> str | None:
    """Draw the maps of one method as an SVG element, or return None without maps."""
    found = cam_maps(experiment)
    if found is None or not all(method in arrays for arrays in found.variants.values()):
        return None
    rows = choose_shown(found.labels, SHOWN)
    pictures = dataset.test.images(found.indices[rows])
    columns = 1 + len(found.variants)
    words = [in_words(name) for name in dataset.class_names]
    with styled():
        figure = new_figure(CELL * columns + 0.75, (CELL + 0.2) * len(rows) + 0.45)
        figure.set_dpi(RASTER_DPI)
        grid = figure.subplots(len(rows), columns, squeeze=False)
        grid[0, 0].set_title("Original", fontsize=9)
        for row, position in enumerate(rows):
            true = words[found.labels[position]]
            _show(grid[row, 0], pictures[row].transpose(1, 2, 0), f"true: {true}", MUTED)
        for column, (variant, arrays) in enumerate(found.variants.items(), start=1):
            grid[0, column].set_title(_two_lines(variant_name(variant)), fontsize=9)
            for row, position in enumerate(rows):
                prediction = int(arrays["predictions"][position])
                probability = float(arrays["probabilities"][position])
                right = prediction == found.labels[position]
                _show(
                    grid[row, column],
                    scaled(arrays[method][position]),
                    f"{words[prediction]}{'' if right else ' ✗'}, {percent(probability)}",
                    INK if right else WRONG,
                )
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), HEAT), ax=grid, fraction=0.02, aspect=40, pad=0.01
        )
        bar.set_label("heat: share of the map's full heat", color=MUTED, fontsize=8.5)
        bar.outline.set_visible(False)
        description = f"Maps by {METHOD_NAMES[method]} of {len(rows)} test images for " + ", ".join(
            variant_name(variant) for variant in found.variants
        )
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


def _two_lines(name: str) -> str:
    return name.replace(" + ", " +\n").replace("Linear ", "Linear\n")
