"""Figure 2: the t-SNE map of each variant's features, a panel each, aligned and coloured alike."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from squeezed.reporting.class_words import in_words
from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import metric
from squeezed.reporting.figures import FigureBlock
from squeezed.reporting.style import INK, MUTED, new_figure, styled, to_svg
from squeezed.reporting.vocabulary import variant_name
from squeezed.reporting.wording import percent, with_interval

# Petroff (2021): ten colours that stay apart for colour-blind people; greys last.
CLASS_COLOURS = (
    "#3f90da",
    "#bd1f01",
    "#ffa90e",
    "#832db6",
    "#92dadd",
    "#a96b59",
    "#e76300",
    "#717581",
    "#b9ac70",
    "#94a4a2",
)
# A second cue: every class also has its own shape within ten classes of one colour cycle.
CLASS_MARKERS = ("o", "s", "^", "D", "v", "P", "h", "<", ">", "p")
PANEL = 3.05
COLUMNS = 3
RASTER_DPI = 220


def tsne_maps(experiment: Experiment) -> dict[str, pd.DataFrame]:
    """Return each variant's map by name, of the first seed that the baseline has one for."""
    for seed in experiment.seeds:
        maps = {
            variant: frame
            for variant in experiment.variants
            if (frame := experiment.frame(seed, variant, "tsne.csv")) is not None
        }
        if "baseline" in maps:
            return maps
    return {}


def tsne_block(experiment: Experiment, class_names: Sequence[str]) -> FigureBlock:
    """Return Figure 2 for the report; without maps it has no drawing.

    Args:
        experiment: whose maps.
        class_names: by label.
    """
    maps = tsne_maps(experiment)
    frames = [frame.assign(variant=variant) for variant, frame in maps.items()]
    return FigureBlock(
        "tsne",
        "Figure 2: t-SNE maps of the features",
        draw_tsne(experiment, class_names) if maps else None,
        "Each dot is a test image, the same ones in every panel, placed so that images with "
        "similar features (first fully connected layer) are near each other; crosses are images "
        "that the variant gets wrong. Maps start from PCA and are turned and scaled onto the "
        "baseline's. The figure above each panel is how often an image's ten neighbours in the "
        "map vote for its class, with its 95 % interval: judge by it, not by the eye.",
        pd.concat(frames, ignore_index=True) if frames else None,
    )


def draw_tsne(experiment: Experiment, class_names: Sequence[str]) -> str | None:
    """Draw the maps as an SVG element, the dots in it as pixels. None without maps."""
    maps = tsne_maps(experiment)
    if not maps:
        return None
    present = sorted(set(maps["baseline"]["label"].astype(int)))
    rows = -(-len(maps) // COLUMNS)
    columns = min(COLUMNS, len(maps))
    words = [in_words(class_names[label]) for label in present]
    legend_rows = _legend_rows(words)
    with styled():
        figure = new_figure(PANEL * columns, (PANEL + 0.38) * rows + 0.24 * legend_rows + 0.15)
        figure.set_dpi(RASTER_DPI)
        grid = figure.subplots(rows, columns, squeeze=False)
        limits = _common_limits(list(maps.values()))
        for axes in grid.flat[len(maps) :]:
            axes.set_visible(False)
        for axes, (variant, frame) in zip(grid.flat, maps.items(), strict=False):
            _draw_panel(axes, frame, present)
            axes.set(xlim=limits[0], ylim=limits[1], xticks=[], yticks=[], aspect="equal")
            axes.set_title(variant_name(variant), pad=17)
            axes.text(
                0,
                1.02,
                _panel_score(experiment, variant),
                transform=axes.transAxes,
                fontsize=8,
                color=MUTED,
            )
        handles = [_legend_handle(position, name) for position, name in enumerate(words)]
        handles.append(Line2D([], [], ls="", marker="x", ms=5, mew=1.3, color=INK, label="wrong"))
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=-(-len(handles) // legend_rows),
            handletextpad=0.2,
            columnspacing=1.2,
            fontsize=9,
        )
        description = "t-SNE maps: " + "; ".join(
            f"{variant_name(variant)}, {_panel_score(experiment, variant)}" for variant in maps
        )
        return to_svg(figure, f"tsne-{experiment.name}", description)


def colour_of(position: int) -> str:
    """Return the colour of the class at this position of the legend."""
    return CLASS_COLOURS[position % len(CLASS_COLOURS)]


def _marker_of(position: int) -> str:
    turn = position // len(CLASS_COLOURS)
    return CLASS_MARKERS[(position + turn) % len(CLASS_MARKERS)]


def _draw_panel(axes: Axes, frame: pd.DataFrame, present: Sequence[int]) -> None:
    size = float(np.clip(6000 / len(frame), 6, 16))
    right = frame["prediction"] == frame["label"]
    for position, label in enumerate(present):
        chosen = frame[(frame["label"] == label) & right]
        axes.scatter(
            chosen["x"],
            chosen["y"],
            s=size,
            color=colour_of(position),
            marker=_marker_of(position),
            linewidths=0,
            rasterized=True,
        )
    for position, label in enumerate(present):
        chosen = frame[(frame["label"] == label) & ~right]
        axes.scatter(
            chosen["x"],
            chosen["y"],
            s=size * 1.3,
            color=colour_of(position),
            marker="x",
            linewidths=0.9,
            rasterized=True,
            zorder=3,
        )
    for spine in axes.spines.values():
        spine.set_visible(True)


def _common_limits(
    frames: Sequence[pd.DataFrame],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return square limits that hold every point of every panel, so that panels compare."""
    points = np.concatenate([frame[["x", "y"]].to_numpy() for frame in frames])
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, 0.53 * float((high - low).max())
    return (middle[0] - half, middle[0] + half), (middle[1] - half, middle[1] + half)


def _legend_handle(position: int, name: str) -> Line2D:
    return Line2D(
        [], [], ls="", marker=_marker_of(position), ms=6, color=colour_of(position), label=name
    )


def _legend_rows(names: Sequence[str]) -> int:
    characters = sum(len(name) + 5 for name in names) + 10
    return max(1, -(-characters // 105))


def _panel_score(experiment: Experiment, variant: str) -> str:
    estimate = metric(experiment, variant, "tsne", "map_knn_accuracy")
    return f"neighbours agree {with_interval(estimate, percent)}" if estimate else ""
