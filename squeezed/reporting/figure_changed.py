"""The images whose prediction an imported variant changes, the baseline's surest first."""

import textwrap
from collections.abc import Sequence

import pandas as pd

from squeezed.configuration.recipes import BASELINE
from squeezed.data.dataset import Dataset
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_exemplars import VARIANTS_AT_MOST, show_change
from squeezed.reporting.style import picture_grid, styled, to_svg
from squeezed.reporting.table_layers import imported_variants
from squeezed.reporting.vocabulary import in_words

SHOWN = 8
"""Images of a variant."""
BROKEN, FIXED, OTHER = "broken", "fixed", "other wrong"


def changed_images(experiment: Experiment) -> pd.DataFrame:
    """Return one row for each changed prediction of an imported variant, of the first seed.

    Columns: `experiment`, `variant`, `index`, `label`, `kind` (`broken`, `fixed`, `other wrong`),
    `baseline_prediction`, `prediction`, `baseline_confidence` and `confidence`.
    """
    found = []
    for variant in imported_variants(experiment):
        for seed in experiment.seeds:
            own = experiment.frame(seed, variant, "predictions.csv")
            base = experiment.frame(seed, BASELINE, "predictions.csv")
            if own is None or base is None:
                continue
            found.append(_changed(experiment.name, variant, own, base))
            break
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def draw_changed(
    experiment: Experiment, data: Dataset | None, classes: Sequence[str]
) -> str | None:
    """Return the figure as an SVG element, or None without changes or images.

    Args:
        experiment: whose imported variants changed predictions.
        data: holds the images.
        classes: their names in words, by label.
    """
    changed = changed_images(experiment)
    if data is None or changed.empty:
        return None
    counts = changed["variant"].value_counts()
    most = set(counts.index[:VARIANTS_AT_MOST])
    variants = [variant for variant in experiment.variants if variant in most]
    columns = min(SHOWN, int(counts.max()))
    with styled():
        figure, grid = picture_grid(len(variants), columns, lines=2)
        for row, variant in enumerate(variants):
            own = changed[changed["variant"] == variant].head(columns)
            images = data.test.images(own["index"].to_numpy())
            grid[row, 0].set_ylabel(textwrap.fill(in_words(variant), 14), fontsize=8.5)
            for axes in grid[row]:
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            for axes, image, (_, said) in zip(grid[row], images, own.iterrows(), strict=False):
                show_change(axes, image.transpose(1, 2, 0), said, classes)
        told = "; ".join(_counted(changed, variant) for variant in variants)
        return to_svg(
            figure, f"changed-{experiment.name}", f"Images whose prediction changed: {told}."
        )


def _changed(experiment: str, variant: str, own: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    both = own[["index", "label", "prediction", "confidence"]].merge(
        base[["index", "prediction", "confidence"]].add_prefix("baseline_"),
        left_on="index",
        right_on="baseline_index",
    )
    both = both[both["prediction"] != both["baseline_prediction"]]
    kinds = pd.Series(OTHER, index=both.index)
    kinds[both["baseline_prediction"] == both["label"]] = BROKEN
    kinds[both["prediction"] == both["label"]] = FIXED
    both = both.assign(experiment=experiment, variant=variant, kind=kinds)
    order = both.sort_values("baseline_confidence", ascending=False, kind="stable")
    return order[
        [
            *("experiment", "variant", "index", "label", "kind"),
            *("baseline_prediction", "prediction", "baseline_confidence", "confidence"),
        ]
    ]


def _counted(changed: pd.DataFrame, variant: str) -> str:
    kinds = changed.loc[changed["variant"] == variant, "kind"].value_counts()
    parts = [f"{kinds.get(kind, 0)} {kind}" for kind in (BROKEN, FIXED, OTHER)]
    return f"{in_words(variant)} {', '.join(parts)}"
