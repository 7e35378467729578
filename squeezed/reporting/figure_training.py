"""Training curves of what was trained."""

import pandas as pd

from squeezed.reporting.colours import colours_of
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.style import legend_below, legend_height, new_figure, styled, to_svg
from squeezed.reporting.vocabulary import in_words

HISTORY = "training_history.csv"
WIDTH = 7.2


def training_curves(experiment: Experiment) -> pd.DataFrame:
    """Return the histories of all seeds and variants in one frame."""
    parts = []
    for variant in experiment.variants:
        for seed in experiment.seeds:
            history = experiment.frame(seed, variant, HISTORY)
            if history is not None:
                parts.append(history.assign(experiment=experiment.name, variant=variant, seed=seed))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw_training(experiment: Experiment) -> str | None:
    """Return the figure as an SVG element, or None without data."""
    curves = training_curves(experiment)
    if curves.empty or "validation_accuracy" not in curves:
        return None
    colours = colours_of(experiment)
    ends = curves.groupby("variant", sort=False)["validation_accuracy"].max()
    labels = [in_words(str(variant)) for variant in ends.index]
    with styled():
        figure = new_figure(WIDTH, 2.7 + legend_height(labels, WIDTH))
        axes = figure.subplots()
        lines = []
        for (variant, seed), curve in curves.groupby(["variant", "seed"], sort=False):
            first = seed == experiment.seeds[0]
            drawn = axes.plot(
                curve["epoch"].to_numpy(),
                100 * curve["validation_accuracy"].to_numpy(),
                color=colours[str(variant)].light,
                lw=1.6,
                alpha=1.0 if first else 0.5,
                marker="o" if len(curve) < 25 else "",
                ms=3,
            )
            lines += drawn if first else []
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Validation accuracy (%)")
        axes.grid(axis="y")
        legend_below(figure, lines, labels)
        parts = [f"{label} {100 * end:.1f} %" for label, end in zip(labels, ends, strict=True)]
        description = f"Validation accuracy by epoch; the best reached: {', '.join(parts)}."
        return to_svg(figure, f"training-{experiment.name}", description, colours.values())
