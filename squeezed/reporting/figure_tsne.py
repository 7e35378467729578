"""Figure 2: the t-SNE map of each variant's features, a panel each, aligned and coloured alike."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from squeezed.reporting.estimates import metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.style import INK, MUTED, new_figure, styled, to_svg
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import percent, with_interval

# Petroff (2021): ten colours that stay apart for colour-blind people; its second grey is a green
# here, because small dots of both look the same.
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
    "#0a7d4f",
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


def tsne_points(experiment: Experiment) -> pd.DataFrame:
    """Return the points of all maps in one frame."""
    frames = [frame.assign(variant=v) for v, frame in tsne_maps(experiment).items()]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def draw_tsne(experiment: Experiment, classes: Sequence[str]) -> str | None:
    """Draw the maps as an SVG element, the dots in it as pixels. None without maps.

    Args:
        experiment: whose maps.
        classes: the names of the classes in words, by label.
    """
    maps = tsne_maps(experiment)
    if not maps or not classes:
        return None
    present = sorted(set(maps["baseline"]["label"].astype(int)))
    rows = -(-len(maps) // COLUMNS)
    columns = min(COLUMNS, len(maps))
    words = [classes[label] for label in present]
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
            axes.set_title(in_words(variant), pad=17)
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
            f"{in_words(variant)}, {_panel_score(experiment, variant)}" for variant in maps
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
