"""The images on which compression changes what the networks of all seeds together say."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from squeezed.data.dataset import Dataset
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.style import INK, MUTED, picture_grid, styled, to_svg
from squeezed.reporting.vocabulary import in_words

SHOWN, VARIANTS_AT_MOST = 6, 8
"""Images of a variant, and variants: those with the most exemplars."""
LONGEST = 11
"""Letters of a class's name."""


def exemplars_of(experiment: Experiment) -> pd.DataFrame:
    """Return the compression-identified images, the surest first; empty without several seeds."""
    path = experiment.folder / "exemplars.csv"
    if not experiment.seed_comparison or not path.exists():
        return pd.DataFrame()
    found = pd.read_csv(path, dtype={"variant": str})
    found = found[found["variant"].isin(experiment.variants)]
    sure = found[["baseline_agreement", "agreement"]].min(axis=1)
    order = found.assign(sure=sure).sort_values(["sure", "index"], ascending=[False, True])
    order.insert(0, "experiment", experiment.name)
    return order.drop(columns="sure").reset_index(drop=True)


def draw_exemplars(
    experiment: Experiment, data: Dataset | None, classes: Sequence[str]
) -> str | None:
    """Return the figure as an SVG element, or None without exemplars or images.

    Args:
        experiment: whose seeds were compared.
        data: holds the images.
        classes: their names in words, by label.
    """
    found = exemplars_of(experiment)
    if data is None or found.empty:
        return None
    counts = found["variant"].value_counts()
    most = set(counts.index[:VARIANTS_AT_MOST])
    variants = [variant for variant in experiment.variants if variant in most]
    columns = min(SHOWN, int(counts.max()))
    with styled():
        figure, grid = picture_grid(len(variants), columns, lines=2)
        for row, variant in enumerate(variants):
            own = found[found["variant"] == variant].head(columns)
            images = data.test.images(own["index"].to_numpy())
            grid[row, 0].set_ylabel(textwrap.fill(in_words(variant), 14), fontsize=8.5)
            for axes in grid[row]:
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            for axes, image, (_, said) in zip(grid[row], images, own.iterrows(), strict=False):
                show_change(axes, image.transpose(1, 2, 0), said, classes)
        told = ", ".join(f"{in_words(variant)} {counts[variant]}" for variant in variants)
        description = f"Images that compression changes for most seeds, by variant: {told}."
        return to_svg(figure, f"exemplars-{experiment.name}", description)


def show_change(axes: Axes, image: np.ndarray, said: pd.Series, classes: Sequence[str]) -> None:
    """Draw an image, and below what was said before and after, dark where it was right.

    Args:
        axes: to draw on.
        image: shape (H, W, C), in [0, 1].
        said: `baseline_prediction`, `prediction` and `label`.
        classes: the names in words, by label.
    """
    before, after, true = (
        classes[said[column]].split(",")[0][:LONGEST]
        for column in ("baseline_prediction", "prediction", "label")
    )
    pixels = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
    axes.imshow(pixels, interpolation="none")
    worse = said["baseline_prediction"] == said["label"]
    words = f"{before} → {after}\ntrue: {true}"
    axes.set_xlabel(words, fontsize=7.5, labelpad=2, color=INK if worse else MUTED)
