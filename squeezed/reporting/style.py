"""How the figures look: one style, and SVG that follows the page's light and dark colours."""

import io
import math
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from squeezed.reporting.colours import Colour

# Colours that stand for a role. In the page they become CSS variables, with these as a fallback.
INK, MUTED, GRID, PAPER = "#1b1f24", "#5b6570", "#d9dee4", "#fefefe"
_ROLES = {INK: "--ink", MUTED: "--muted", GRID: "--rule", PAPER: "--page"}
LEGEND_ROW, PICTURE = 0.22, 1.1
"""Inches: the height of a legend's row, the side of a picture in a grid."""

STYLE: dict[Any, Any] = {
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "squeezed",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelsize": 8.5,
}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure in the report's style, without any window system.

    Args:
        width: inches.
        height: inches.
    """
    return Figure(figsize=(width, height), layout="constrained")


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved."""
    return mpl.rc_context(STYLE)


def picture_grid(
    rows: int, columns: int, *, right: float = 0.05, lines: int = 1
) -> tuple[Figure, Any]:
    """Return a figure with a grid of pictures, room for a label beside and words below each.

    Args:
        rows: of pictures.
        columns: of pictures.
        right: inches left free at the right.
        lines: of words below each picture.
    """
    left, top, below = 0.45, 0.25, 0.09 + 0.13 * lines
    width = left + columns * (PICTURE + 0.06) + right
    height = top + rows * (PICTURE + below)
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        top=1 - top / height,
        bottom=below / height,
        wspace=0.06 / PICTURE,
        hspace=below / PICTURE,
    )
    return figure, grid


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns of a legend with these labels fit a width in inches."""
    longest = max((len(label) for label in labels), default=1)
    return max(1, min(len(labels), int(width / (0.068 * longest + 0.5))))


def legend_height(labels: Sequence[str], width: float) -> float:
    """Return the height in inches that `legend_below` takes."""
    return LEGEND_ROW * math.ceil(len(labels) / legend_columns(labels, width)) + 0.1


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend below the axes, in as many columns as fit: it hides nothing, however long."""
    figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=legend_columns(labels, float(figure.get_figwidth())),
        fontsize=8.5,
        columnspacing=1.4,
        handlelength=1.8,
    )


def to_svg(figure: Figure, name: str, description: str, colours: Iterable[Colour] = ()) -> str:
    """Return a figure as an `<svg>` element for a page: its own ids, CSS colours, a description.

    The same figure gives the same text.

    Args:
        figure: drawn within `styled()`.
        name: a prefix that makes the ids of the figure its own in the page.
        description: what the figure shows, for those who cannot see it.
        colours: those that become the page's variables.
    """
    buffer = io.StringIO()
    with styled():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    # The same picture twice would be the same id twice, and nothing refers to pictures.
    svg = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    for colour, role in (_ROLES | {one.light: one.variable for one in colours}).items():
        svg = svg.replace(colour, f"var({role}, {colour})")
    # The page's own font is narrower than the one that matplotlib measured with.
    svg = svg.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
