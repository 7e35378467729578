"""Robust accuracy against the L2 budget of the attacker, a curve for each variant."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from squeezed.reporting.colours import colours_of
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.measures import unreliable_reason
from squeezed.reporting.style import legend_below, legend_height, new_figure, styled, to_svg
from squeezed.reporting.vocabulary import in_words

POINTS = 61
WIDTH, HEIGHT = 9.0, 2.2
NARROW, NARROW_HEIGHT, FEW = 5.7, 2.6, 8
"""Inches with so few variants, so that what they fool each other with fits beside it."""
LINES = ("-", (0, (5, 2)), "-", (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1)))


def robust_accuracy(images: pd.DataFrame, budgets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each budget the share of images that stay right under every change within it.

    An image counts at a budget if it was right before, and the attack found no change of at most
    this length that makes it wrong.

    Args:
        images: an `attack_…_images.csv`: label, prediction_before, success, l2.
        budgets: L2 lengths, pixels in [0, 1].
    """
    right = (images["prediction_before"] == images["label"]).to_numpy(bool)
    fooled = images["success"].to_numpy(bool)
    length = np.where(fooled, images["l2"].to_numpy(np.float64), np.inf)
    return (right[:, None] & (length[:, None] > budgets)).mean(axis=0)


def robustness_curves(experiment: Experiment) -> pd.DataFrame:
    """Return the curves of all variants over one grid: budget, mean, least and most over seeds.

    Under the attack that robustness is judged by.
    """
    file = f"{experiment.strong_attack}_images.csv"
    frames = {
        variant: [
            frame
            for seed in experiment.seeds
            if (frame := experiment.frame(seed, variant, file)) is not None
            and {"label", "prediction_before", "success", "l2"} <= set(frame)
        ]
        for variant in experiment.variants
    }
    columns = ["experiment", "variant", "l2_budget", "robust_accuracy", "low", "high"]
    lengths = [
        frame.loc[frame["success"].astype(bool), "l2"] for some in frames.values() for frame in some
    ]
    longest = max((float(x.max()) for x in lengths if len(x)), default=0.0)
    budgets = np.linspace(0.0, longest * 1.02 or 1.0, POINTS)
    parts = []
    for variant, some in frames.items():
        if not some:
            continue
        curves = np.stack([robust_accuracy(frame, budgets) for frame in some])
        parts.append(
            pd.DataFrame(
                {
                    "experiment": experiment.name,
                    "variant": variant,
                    "l2_budget": budgets,
                    "robust_accuracy": curves.mean(axis=0),
                    "low": curves.min(axis=0),
                    "high": curves.max(axis=0),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def draw_robustness(experiment: Experiment) -> str | None:
    """Return the figure as an SVG element, or None without data."""
    curves = robustness_curves(experiment)
    if curves.empty:
        return None
    colours = colours_of(experiment)
    variants = [str(variant) for variant in curves["variant"].unique()]
    labels = [
        in_words(v) + (" (unreliable)" if unreliable_reason(experiment, v) else "")
        for v in variants
    ]
    width, height = (NARROW, NARROW_HEIGHT) if len(variants) <= FEW else (WIDTH, HEIGHT)
    with styled():
        figure = new_figure(width, height + legend_height(labels, width))
        axes = figure.subplots()
        lines = []
        for place, variant in enumerate(variants):
            curve = curves[curves["variant"] == variant]
            x = curve["l2_budget"].to_numpy()
            lines += axes.plot(
                x,
                100 * curve["robust_accuracy"].to_numpy(),
                color=colours[variant].light,
                lw=1.8,
                ls=LINES[place % len(LINES)],
            )
            if len(experiment.seeds) > 1:
                axes.fill_between(
                    x,
                    100 * curve["low"].to_numpy(),
                    100 * curve["high"].to_numpy(),
                    color=colours[variant].light,
                    alpha=0.15,
                    lw=0,
                )
        axes.set_xlabel("L2 budget of the attacker (pixels in [0, 1])")
        axes.set_ylabel("Still classified correctly (%)")
        axes.set_ylim(0, 102)
        axes.set_xlim(0, None)
        axes.grid(axis="y")
        legend_below(figure, lines, labels)
        name = f"robustness-{experiment.name}"
        return to_svg(figure, name, _description(curves), colours.values())


def _description(curves: pd.DataFrame) -> str:
    parts = []
    for variant, curve in curves.groupby("variant", sort=False):
        below = curve[curve["robust_accuracy"] < curve["robust_accuracy"].iloc[0] / 2]
        if len(below):
            budget = below["l2_budget"].iloc[0]
            parts.append(f"{in_words(str(variant))} is halved at {budget:.2f}")
    return f"Accuracy against the attacker's L2 budget. {'; '.join(parts)}."
