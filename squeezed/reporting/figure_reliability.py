"""How often networks are right against how sure they are: the reliability diagram."""

import pandas as pd

from squeezed.reporting.colours import colours_of
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.style import (
    MUTED,
    legend_below,
    legend_height,
    new_figure,
    styled,
    to_svg,
)
from squeezed.reporting.vocabulary import in_words

FEWEST = 5
"""Bins of fewer images are not drawn."""
WIDTH = 5.2


def reliability_points(experiment: Experiment) -> pd.DataFrame:
    """Return each variant's bins with the images of all seeds: without and with scaling."""
    parts = []
    for variant in experiment.variants:
        for seed in experiment.seeds:
            bins = experiment.frame(seed, variant, "reliability.csv")
            if bins is not None:
                parts.append(bins[bins["n_images"] > 0].assign(variant=variant))
    if not parts:
        return pd.DataFrame()
    joined = pd.concat(parts, ignore_index=True)
    for column in ("confidence", "accuracy"):
        joined[column] *= joined["n_images"]
    order = ["variant", "scaled", "low", "high"]
    bins = joined.groupby(order, sort=False, as_index=False).sum()
    for column in ("confidence", "accuracy"):
        bins[column] /= bins["n_images"]
    bins.insert(0, "experiment", experiment.name)
    return bins.sort_values("low", kind="stable", ignore_index=True)


def draw_reliability(experiment: Experiment) -> str | None:
    """Return the figure as an SVG element, or None without data."""
    bins = reliability_points(experiment)
    if bins.empty:
        return None
    bins = bins[(bins["scaled"] == 0) & (bins["n_images"] >= FEWEST)]
    variants = [v for v in experiment.variants if v in set(bins["variant"])]
    if not variants:
        return None
    colours = colours_of(experiment)
    labels = ["as sure as right", *map(in_words, variants)]
    with styled():
        figure = new_figure(WIDTH, 3.2 + legend_height(labels, WIDTH))
        axes = figure.subplots()
        lowest = 100 * float(min(bins["confidence"].min(), bins["accuracy"].min()))
        start = max(0.0, lowest - 5)
        lines = axes.plot([start, 100], [start, 100], color=MUTED, lw=1, ls="--")
        for variant in variants:
            own = bins[bins["variant"] == variant]
            lines += axes.plot(
                100 * own["confidence"].to_numpy(),
                100 * own["accuracy"].to_numpy(),
                color=colours[variant].light,
                lw=1.4,
                marker="o",
                ms=4,
            )
        axes.set_xlabel("Confidence (%)")
        axes.set_ylabel("Accuracy (%)")
        axes.grid()
        legend_below(figure, lines, labels)
        description = (
            f"Accuracy against confidence for {', '.join(labels[1:])}: below the dashed line a "
            "network is surer than it is right."
        )
        return to_svg(figure, f"reliability-{experiment.name}", description, colours.values())
