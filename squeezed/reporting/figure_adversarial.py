"""The picture of the attack: original, adversarial image and enlarged difference, by variant."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from safetensors.numpy import load_file

from squeezed.data.dataset import Dataset
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.style import MUTED, picture_grid, styled, to_svg
from squeezed.reporting.vocabulary import in_words

SHOWN_IMAGES = 2
HEADINGS = ("original", "adversarial", "difference")
Attack = tuple[pd.DataFrame, NDArray[np.float32]]
"""The images' table, by index, and their nearest adversarial images in the same order."""


def draw_adversarial(
    experiment: Experiment, data: Dataset | None, classes: Sequence[str]
) -> str | None:
    """Return the figure as an SVG element, or None without the images.

    Args:
        experiment: whose first seed is drawn.
        data: holds the originals.
        classes: their names in words, by label.
    """
    attacks = _attacks(experiment)
    if data is None or not attacks:
        return None
    chosen = choose_shown(attacks)
    if not chosen:
        return None
    originals = data.test.images(np.array(chosen))
    changes = {
        (variant, index): images[table.index.get_loc(index)] - originals[place]
        for variant, (table, images) in attacks.items()
        for place, index in enumerate(chosen)
        if index in table.index
    }
    largest = max(float(np.abs(change).max()) for change in changes.values())
    gain = max(1, round(0.5 / largest)) if largest else 1
    with styled():
        rows, columns = len(attacks), len(HEADINGS) * len(chosen)
        figure, grid = picture_grid(rows, columns)
        for row, (variant, (table, _)) in enumerate(attacks.items()):
            for place, index in enumerate(chosen):
                axes = grid[row, len(HEADINGS) * place : len(HEADINGS) * (place + 1)]
                change = changes.get((variant, index))
                _draw_row(axes, originals[place], change, table, index, gain, classes)
            grid[row, 0].set_ylabel(textwrap.fill(in_words(variant), 14), fontsize=8.5)
        for column, axes_of_column in enumerate(grid[0]):
            heading = HEADINGS[column % len(HEADINGS)]
            text = f"{heading} ×{gain}" if heading == "difference" else heading
            axes_of_column.set_title(text, fontsize=8.5, loc="center", color=MUTED, weight="normal")
        return to_svg(figure, f"adversarial-{experiment.name}", _description(attacks, gain))


def choose_shown(attacks: dict[str, Attack]) -> list[int]:
    """Return the first images, of different classes, on which every variant was fooled.

    Where none fools all variants, those that fool the most.
    """
    tables = [table for table, _ in attacks.values()]
    counts = pd.concat([table["success"].astype(int) for table in tables], axis=1).sum(axis=1)
    labels = tables[0]["label"]
    chosen: list[int] = []
    classes: set[int] = set()
    for index in counts.sort_values(ascending=False, kind="stable").index:
        label = int(labels.get(index, -1))
        if counts[index] and label not in classes and len(chosen) < SHOWN_IMAGES:
            chosen.append(int(index))
            classes.add(label)
    return chosen


def _attacks(experiment: Experiment) -> dict[str, Attack]:
    found = {}
    seed = experiment.seeds[0]
    for variant in experiment.variants:
        table = experiment.frame(seed, variant, f"{experiment.strong_attack}_images.csv")
        tensors = experiment.path(seed, variant, f"{experiment.strong_attack}.safetensors")
        if table is not None and tensors.exists():
            found[variant] = (table.set_index("index"), load_file(tensors)["best"])
    return found


def _draw_row(
    axes: NDArray[np.object_],
    original: NDArray[np.float32],
    change: NDArray[np.float32] | None,
    table: pd.DataFrame,
    index: int,
    gain: int,
    classes: Sequence[str],
) -> None:
    for one in axes:
        one.set_xticks([])
        one.set_yticks([])
        for spine in one.spines.values():
            spine.set_visible(False)
    if change is None:
        return
    row = table[table.index == index].iloc[0]
    _show(axes[0], original, _said(classes, row, "before"))
    if not row["success"]:
        axes[1].text(0.5, 0.5, "not fooled", ha="center", va="center", fontsize=8, color=MUTED)
        return
    fooled = _said(classes, row, "after")
    _show(axes[1], original + change, fooled)
    _show(axes[2], 0.5 + gain * change, f"L2 {row['l2']:.2f}")


def _show(axes: Axes, image: NDArray[np.float32], caption: str) -> None:
    pixels = np.round(255 * np.clip(image.transpose(1, 2, 0), 0, 1)).astype(np.uint8)
    axes.imshow(pixels, interpolation="none")
    axes.set_xlabel(caption, fontsize=7.5, labelpad=2)


def _said(classes: Sequence[str], row: pd.Series, when: str) -> str:
    name = classes[int(row[f"prediction_{when}"])].split(",")[0]
    return f"{name[:14]}, {100 * row[f'confidence_{when}']:.0f} %"


def _description(attacks: dict[str, Attack], gain: int) -> str:
    lengths = [
        f"{in_words(variant)} {table.loc[table['success'].astype(bool), 'l2'].median():.2f}"
        for variant, (table, _) in attacks.items()
        if table["success"].any()
    ]
    return (
        f"Test images, the nearest images that fool each variant, and their difference enlarged "
        f"{gain} times. Median L2 length of the changes: {', '.join(lengths)}."
    )
