"""What accuracy costs: against size, speed and robustness, with sweeps as curves."""

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes

from squeezed.reporting.colours import Colour, colours_of
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.measures import accuracy, distance_ratio, size_ratio, speedup
from squeezed.reporting.style import (
    GRID,
    MUTED,
    legend_below,
    legend_height,
    new_figure,
    styled,
    to_svg,
)
from squeezed.reporting.sweeps import sweeps_of
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import percent, times

WIDTH, HEIGHT = 9.0, 3.1
FRONT_WIDTH, FRONT_HEIGHT = 5.4, 2.7
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
Measure = Callable[[Experiment, str], Estimate | None]


COSTS: dict[str, Measure] = {
    "Deployed file, of the baseline's": size_ratio,
    "Speed-up": speedup,
    "Change that fools it, of the baseline's": distance_ratio,
}
"""What accuracy is drawn against: all ratios to the baseline."""


def draw_tradeoff(experiment: Experiment) -> str | None:
    """Return the figure as an SVG element, or None where less than two variants have a place."""
    accuracies = {v: accuracy(experiment, v) for v in experiment.variants}
    panels = {
        title: {
            v: (x, y)
            for v, y in accuracies.items()
            if y is not None and (x := measure(experiment, v)) is not None
        }
        for title, measure in COSTS.items()
    }
    panels = {title: points for title, points in panels.items() if len(points) > 1}
    if not panels:
        return None
    colours = colours_of(experiment)
    shown = [v for v in experiment.variants if any(v in points for points in panels.values())]
    markers = _markers(experiment)
    labels = [in_words(v) for v in shown]
    width = WIDTH * max(2, len(panels)) / len(COSTS)
    with styled():
        figure = new_figure(width, HEIGHT + legend_height(labels, width))
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, points) in zip(row, panels.items(), strict=True):
            _join(axes, experiment, points, colours)
            for variant, (x, y) in points.items():
                _draw_point(axes, x, y, colours[variant].light, markers[variant])
            axes.set_xlabel(title)
            axes.grid(axis="y")
            axes.axvline(1, color=GRID, lw=0.8, zorder=0)
        row[0].set_ylabel("Accuracy (%)")
        handles = [
            row[0].plot([], [], ls="", marker=markers[v], ms=6, color=colours[v].light)[0]
            for v in shown
        ]
        legend_below(figure, handles, labels)
        description = _description(experiment, panels)
        return to_svg(figure, f"tradeoff-{experiment.name}", description, colours.values())


def draw_front(experiment: Experiment) -> str | None:
    """Return the first picture as an SVG element: accuracy against size, or else against speed.

    What no other variant beats in both is joined by the Pareto front. None where less than two
    variants have a place.
    """
    accuracies = {v: accuracy(experiment, v) for v in experiment.variants}
    known = {v: y for v, y in accuracies.items() if y is not None}
    sizes = {v: x for v in known if (x := _megabytes(experiment, v)) is not None}
    speeds = {v: x for v in known if (x := speedup(experiment, v)) is not None}
    by_speed = len({round(x.value, 2) for x in sizes.values()}) < 2 and len(speeds) > 1
    costs = speeds if by_speed else sizes
    if len(costs) < 2:
        return None
    points = {v: (x, known[v]) for v, x in costs.items()}
    colours, markers = colours_of(experiment), _markers(experiment)
    labels = [in_words(v) for v in points]
    with styled():
        figure = new_figure(FRONT_WIDTH, FRONT_HEIGHT + legend_height(labels, FRONT_WIDTH))
        axes = figure.subplots()
        front = pareto_front(
            {v: (x.value if by_speed else -x.value, y.value) for v, (x, y) in points.items()}
        )
        across = [points[v][0].value for v in front]
        up = [100 * points[v][1].value for v in front]
        axes.plot(
            across,
            up,
            ls=(0, (4, 3)),
            marker="o",
            ms=12,
            mfc="none",
            color=MUTED,
            lw=1.1,
            zorder=1,
        )
        _join(axes, experiment, points, colours)
        for variant, (x_of, y_of) in points.items():
            _draw_point(axes, x_of, y_of, colours[variant].light, markers[variant])
        if not by_speed:
            axes.set_xlim(0, None)
        axes.set_xlabel("Speed, times the baseline's" if by_speed else "Deployed file (MB)")
        axes.set_ylabel("Accuracy (%)")
        axes.grid(axis="y")
        handles = [
            axes.plot([], [], ls="", marker=markers[v], ms=6, color=colours[v].light)[0]
            for v in points
        ]
        legend_below(figure, handles, labels)
        told = "; ".join(
            f"{in_words(v)} {x_of.value:.2f}{'×' if by_speed else ' MB'} at {percent(y_of.value)}"
            for v, (x_of, y_of) in points.items()
        )
        cost = "speed" if by_speed else "the size of the deployed file"
        description = f"Accuracy against {cost}: {told}. On the Pareto front: "
        description += f"{listed([in_words(v) for v in front])}."
        return to_svg(figure, f"front-{experiment.name}", description, colours.values())


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return those that no other beats in one figure without losing in the other.

    Args:
        points: two figures of each, of which more is better.

    Returns:
        Their names, in the order of the first figure.
    """
    front = [
        name
        for name, (a, b) in points.items()
        if not any(c >= a and d >= b and (c > a or d > b) for c, d in points.values())
    ]
    return sorted(front, key=lambda name: points[name])


def _megabytes(experiment: Experiment, variant: str) -> Estimate | None:
    found = metric(experiment, variant, "evaluation", "onnx_size_bytes")
    return None if found is None else Estimate(found.value / 1e6)


def _markers(experiment: Experiment) -> dict[str, str]:
    """Return a marker for each variant, the same for those of one step."""
    recipes = experiment.recipes
    steps = {v: recipes[v].step if v in recipes else v for v in experiment.variants}
    order = list(dict.fromkeys(steps.values()))
    return {v: MARKERS[order.index(step) % len(MARKERS)] for v, step in steps.items()}


def _draw_point(axes: Axes, x: Estimate, y: Estimate, colour: str, marker: str) -> None:
    middle = (x.value, 100 * y.value)
    axes.plot(*middle, marker, color=colour, ms=6, zorder=3)
    axes.plot(x.ends, [middle[1]] * 2, "-", color=colour, lw=0.9, alpha=0.5, zorder=2)
    heights = [100 * end for end in y.ends]
    axes.plot([middle[0]] * 2, heights, "-", color=colour, lw=0.9, alpha=0.5, zorder=2)


def _join(
    axes: Axes,
    experiment: Experiment,
    points: Mapping[str, tuple[Estimate, Estimate]],
    colours: Mapping[str, Colour],
) -> None:
    """Join the points of each sweep; those of one parent from that parent on."""
    recipes = experiment.recipes
    for sweep in sweeps_of(recipes):
        parents = {recipes[v].parent for v in sweep.variants}
        line = [*(parents if len(parents) == 1 else ()), *sweep.variants]
        drawn = [points[v] for v in line if v in points]
        colour = colours[sweep.variants[len(sweep.variants) // 2]].light
        x, y = [x.value for x, _ in drawn], [100 * y.value for _, y in drawn]
        axes.plot(x, y, "-", color=colour, lw=1.4, alpha=0.7, zorder=1)


def _description(
    experiment: Experiment, panels: Mapping[str, Mapping[str, tuple[Estimate, Estimate]]]
) -> str:
    told = {
        title: [f"{in_words(v)} {times(x.value)} at {percent(y.value)}" for v, (x, y) in p.items()]
        for title, p in panels.items()
    }
    points = "; ".join(f"{title}: {', '.join(words)}" for title, words in told.items())
    sweeps = [
        f"{listed([in_words(v) for v in sweep.variants])} by {sweep.setting}"
        for sweep in sweeps_of(experiment.recipes)
    ]
    joined = f" Joined: {'; '.join(sweeps)}." if sweeps else ""
    return f"Accuracy against cost. {points}.{joined}"
