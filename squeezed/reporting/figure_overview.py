"""The first figure: accuracy, size, speed and robustness of all variants, a panel each."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from squeezed.reporting import paper
from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.measures import STRONG_ATTACK, accuracy, speedup, unreliable_reason
from squeezed.reporting.style import INK, MUTED, new_figure, styled, to_svg
from squeezed.reporting.vocabulary import VARIANT_COLOURS, variant_name
from squeezed.reporting.wording import Format, megabytes, number, percent, times

PANEL_SIZE = (3.05, 2.5)
BAR = 0.16
"""How far below the middle of a row its bar is; the variant's name stands above."""
VALUES_SHARE = 0.24
"""Of a panel's width, what the column of values takes."""


@dataclass(frozen=True)
class Panel:
    """One panel: a figure for each variant."""

    key: str
    title: str
    better: str
    form: Format
    ours: Callable[[Experiment, str], Estimate | None]
    printed: Callable[[str | None, str], float | None]
    """The paper's figure, in our units."""
    from_zero: bool
    """Bars from zero, or dots on an axis that shows their differences."""
    reference: float | None = None


def _size(experiment: Experiment, variant: str) -> Estimate | None:
    onnx = metric(experiment, variant, "evaluation", "onnx_size_bytes")
    return onnx or metric(experiment, variant, "evaluation", "model_size_bytes")


def _distance(experiment: Experiment, variant: str) -> Estimate | None:
    return metric(experiment, variant, STRONG_ATTACK, "l2_median")


def _printed_row(dataset: str | None, variant: str) -> paper.TableOneRow | None:
    return paper.TABLE_ONE.get(dataset or "", {}).get(variant)


def _printed_accuracy(dataset: str | None, variant: str) -> float | None:
    row = _printed_row(dataset, variant)
    return None if row is None else row.accuracy


def _printed_size(dataset: str | None, variant: str) -> float | None:
    row = _printed_row(dataset, variant)
    return None if row is None else row.size_mb * 1e6


def _printed_speedup(dataset: str | None, variant: str) -> float | None:
    row, base = _printed_row(dataset, variant), _printed_row(dataset, "baseline")
    return None if row is None or base is None else base.time_10000_s / row.time_10000_s


PANELS = (
    Panel("accuracy", "Accuracy", "more is better", percent, accuracy, _printed_accuracy, False),
    Panel("size", "Deployed file", "less is better", megabytes, _size, _printed_size, True),
    Panel(
        "speed", "Speed-up", "more is better", times, speedup, _printed_speedup, True, reference=1.0
    ),
    Panel(
        "robustness",
        "L2 that fools it",
        "more is better",
        number(2),
        _distance,
        lambda dataset, variant: None,
        True,
    ),
)


def draw_overview(experiment: Experiment) -> list[str]:
    """Return the panels that have data as SVG elements, in the order of reading."""
    dataset = paper.dataset_of(experiment.name, experiment.dataset)
    drawn = []
    with styled():
        for panel in PANELS:
            ours = {v: panel.ours(experiment, v) for v in experiment.variants}
            if not any(ours.values()):
                continue
            figure = _draw_panel(panel, experiment, ours, dataset)
            name = f"overview-{experiment.name}-{panel.key}"
            drawn.append(to_svg(figure, name, _description(panel, ours)))
    return drawn


def _draw_panel(
    panel: Panel,
    experiment: Experiment,
    ours: dict[str, Estimate | None],
    dataset: str | None,
) -> Figure:
    figure = new_figure(*PANEL_SIZE)
    axes = figure.subplots()
    variants = list(ours)
    for row, variant in enumerate(variants):
        _draw_variant(axes, panel, row, ours[variant], VARIANT_COLOURS.get(variant, MUTED))
        printed = panel.printed(dataset, variant)
        if printed is not None:
            axes.plot(printed, row + BAR, "D", mfc="none", mec=INK, ms=6, mew=1, zorder=4)
        doubtful = panel.key == "robustness" and unreliable_reason(experiment, variant)
        label = variant_name(variant) + (" *" if doubtful else "")
        axes.text(
            0, row - 0.3, label, transform=axes.get_yaxis_transform(), fontsize=8, color=MUTED
        )
    if panel.reference is not None:
        axes.axvline(panel.reference, color=MUTED, lw=0.8, ls=(0, (2, 2)), zorder=1)
    axes.set_ylim(len(variants) - 0.55, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    low, high = axes.get_xlim()
    low = 0 if panel.from_zero else low
    axes.set_xlim(low, high + VALUES_SHARE / (1 - VALUES_SHARE) * (high - low))
    axes.set_title(f"{panel.title}")
    axes.text(
        1, 1.03, panel.better, transform=axes.transAxes, ha="right", fontsize=7.5, color=MUTED
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
        f"{variant_name(variant)} {panel.form(estimate.value) if estimate else 'no result'}"
        for variant, estimate in ours.items()
    ]
    return f"{panel.title}, {panel.better}: {', '.join(parts)}."
