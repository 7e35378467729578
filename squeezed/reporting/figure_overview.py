"""The first figure: accuracy, size, speed and robustness of all variants, a panel each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from squeezed.reporting.colours import colours_of
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.lens import Lens
from squeezed.reporting.measures import accuracy, distance_ratio, speedup, unreliable_reason
from squeezed.reporting.style import INK, MUTED, new_figure, styled, to_svg
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import Format, megabytes, percent, times

WIDTH, ROW, HEAD = 3.05, 0.38, 0.35
"""Inches: of a panel, and of each variant's row."""
BAR = 0.16
"""How far below the middle of a row its bar is; the variant's name stands above."""
VALUES_SHARE = 0.24
"""Of a panel's width, what the column of values takes."""


@dataclass(frozen=True)
class Panel:
    """One panel: a figure for each variant."""

    analysis: str
    metric: str
    title: str
    better: str
    form: Format
    ours: Callable[[Experiment, str], Estimate | None]
    from_zero: bool
    """Bars from zero, or dots on an axis that shows their differences."""
    reference: float | None = None


def _size(experiment: Experiment, variant: str) -> Estimate | None:
    return metric(experiment, variant, "evaluation", "onnx_size_bytes")


PANELS = (
    Panel("evaluation", "top1_accuracy", "Accuracy", "more is better", percent, accuracy, False),
    Panel(
        "evaluation", "onnx_size_bytes", "Deployed file", "less is better", megabytes, _size, True
    ),
    Panel("inference_timing", "speedup", "Speed-up", "more is better", times, speedup, True, 1.0),
    Panel(
        "attack",
        "distance_ratio",
        "Change that fools it",
        "more is better",
        times,
        distance_ratio,
        True,
        1.0,
    ),
)


def draw_overview(experiment: Experiment, lenses: Sequence[Lens] = ()) -> list[str]:
    """Return the panels that have data as SVG elements, in the order of reading.

    Args:
        experiment: whose variants.
        lenses: what prints figures beside ours.
    """
    drawn = []
    colours = colours_of(experiment)
    with styled():
        for panel in PANELS:
            ours = {v: panel.ours(experiment, v) for v in experiment.variants}
            if not any(ours.values()):
                continue
            figure = _draw_panel(panel, experiment, ours, lenses)
            name = f"overview-{experiment.name}-{panel.metric}"
            drawn.append(to_svg(figure, name, _description(panel, ours), colours.values()))
    return drawn


def _draw_panel(
    panel: Panel,
    experiment: Experiment,
    ours: dict[str, Estimate | None],
    lenses: Sequence[Lens],
) -> Figure:
    figure = new_figure(WIDTH, HEAD + ROW * len(ours))
    axes = figure.subplots()
    colours = colours_of(experiment)
    for row, variant in enumerate(ours):
        _draw_variant(axes, panel, row, ours[variant], colours[variant].light)
        for lens in lenses:
            printed = lens.printed(experiment, panel.analysis, panel.metric, variant)
            if printed is not None:
                axes.plot(printed.value, row + BAR, "D", mfc="none", mec=INK, ms=6, mew=1, zorder=4)
        doubtful = panel.analysis == "attack" and unreliable_reason(experiment, variant)
        label = in_words(variant) + (" *" if doubtful else "")
        axes.text(
            0, row - 0.13, label, transform=axes.get_yaxis_transform(), fontsize=8, color=MUTED
        )
    if panel.reference is not None:
        axes.axvline(panel.reference, color=MUTED, lw=0.8, ls=(0, (2, 2)), zorder=1)
    axes.set_ylim(len(ours) - 0.55, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    low, high = axes.get_xlim()
    low = 0 if panel.from_zero else low
    axes.set_xlim(low, high + VALUES_SHARE / (1 - VALUES_SHARE) * (high - low))
    axes.set_title(panel.title)
    # In points, so that it stays beside the title however many rows there are.
    axes.annotate(
        panel.better,
        (1, 1),
        (0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        fontsize=7.5,
        color=MUTED,
    )
    return figure


def _draw_variant(
    axes: Axes, panel: Panel, row: int, estimate: Estimate | None, colour: str
) -> None:
    if estimate is None:
        axes.text(
            0,
            row + BAR,
            "no result",
            transform=axes.get_yaxis_transform(),
            fontsize=8,
            color=MUTED,
            style="italic",
            va="center",
        )
        return
    if panel.from_zero:
        axes.barh(row + BAR, estimate.value, height=0.34, color=colour, zorder=2)
    else:
        axes.plot(estimate.value, row + BAR, "o", color=colour, ms=7, zorder=3)
    if estimate.low is not None and estimate.high is not None:
        ink = INK if panel.from_zero else colour
        axes.plot([estimate.low, estimate.high], [row + BAR] * 2, "-", color=ink, lw=1.6, zorder=3)
    # In a column of their own, where no interval and no diamond can reach them.
    axes.text(
        1,
        row + BAR,
        panel.form(estimate.value),
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center",
        fontsize=9,
        weight="bold",
        color=INK,
    )


def _description(panel: Panel, ours: dict[str, Estimate | None]) -> str:
    parts = [
        f"{in_words(variant)} {panel.form(estimate.value) if estimate else 'no result'}"
        for variant, estimate in ours.items()
    ]
    return f"{panel.title}, {panel.better}: {', '.join(parts)}."
