"""Training curves of what was trained: baseline, pruned and ablated."""

import pandas as pd

from squeezed.reporting.collection import Experiment
from squeezed.reporting.style import new_figure, styled, to_svg
from squeezed.reporting.vocabulary import VARIANT_COLOURS, variant_name

HISTORY = "training_history.csv"


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
    with styled():
        figure = new_figure(7.2, 2.9)
        axes = figure.subplots()
        for (variant, seed), curve in curves.groupby(["variant", "seed"], sort=False):
            first = seed == experiment.seeds[0]
            axes.plot(
                curve["epoch"].to_numpy(),
                100 * curve["validation_accuracy"].to_numpy(),
                color=VARIANT_COLOURS.get(str(variant), "#666666"),
                lw=1.6,
                alpha=1.0 if first else 0.5,
                marker="o" if len(curve) < 25 else "",
                ms=3,
                label=variant_name(str(variant)) if first else None,
            )
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Validation accuracy (%)")
        axes.grid(axis="y")
        axes.legend(loc="lower right", fontsize=8.5)
        ends = curves.groupby("variant", sort=False)["validation_accuracy"].max()
        parts = [f"{variant_name(str(v))} {100 * a:.1f} %" for v, a in ends.items()]
        description = f"Validation accuracy by epoch; the best reached: {', '.join(parts)}."
        return to_svg(figure, f"training-{experiment.name}", description)
