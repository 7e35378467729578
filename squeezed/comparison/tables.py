"""The answers to all images as tables: what changed, with its interval and n."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from squeezed.comparison.image_by_image import Answers
from squeezed.statistics.comparisons import holm
from squeezed.statistics.intervals import (
    mcnemar_p_value,
    normal_interval,
    paired_proportion_interval,
    wilson_interval,
)

COLUMNS = ["measure", "value", "low", "high", "count", "n"]
WORST = 10
Row = list[object]


def summary_table(answers: Answers) -> pd.DataFrame:
    """Return one row for each measure, with its 95 % interval over images.

    Columns: `measure`, `value`, `low`, `high`, `count` (images, where it counts them) and `n`.
    Shares are in [0, 1]; `accuracy_change` is the compressed model's minus the original's;
    `overconfidence` is the mean confidence minus the accuracy, 0 where a model is calibrated.
    """
    n = len(answers.original)
    rows: list[Row] = []
    if answers.labels is not None:
        before, after = answers.original == answers.labels, answers.compressed == answers.labels
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        rows += [
            share_row("accuracy_original", before),
            share_row("accuracy_compressed", after),
            [
                "accuracy_change",
                float(after.mean() - before.mean()),
                *paired_proportion_interval(gained, lost, n),
                gained - lost,
                n,
            ],
        ]
    rows.append(share_row("changed", answers.changed))
    if answers.labels is not None:
        kinds = answers.kinds()
        rows += [share_row(kind.replace(" ", "_"), kinds == kind) for kind in _KINDS]
        for name, sure, right in (
            ("original", answers.original_confidence, before),
            ("compressed", answers.compressed_confidence, after),
        ):
            excess = sure - right
            interval = normal_interval(excess)
            rows.append([f"overconfidence_{name}", float(excess.mean()), *interval, None, n])
    shift = answers.compressed_confidence - answers.original_confidence
    rows += [
        ["divergence_nats", float(answers.divergence.mean()), *normal_interval(answers.divergence)],
        ["confidence_change", float(shift.mean()), *normal_interval(shift)],
    ]
    for row in rows[-2:]:
        row += [None, n]
    rows += [
        share_row("ties_original", answers.original_ties),
        share_row("ties_compressed", answers.compressed_ties),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


_KINDS = ("broken", "fixed", "other wrong")


def share_row(name: str, hits: NDArray[np.bool_]) -> Row:
    """Return the row of a share of images in a summary, with Wilson's 95 % interval."""
    count, n = int(hits.sum()), len(hits)
    return [name, count / n, *wilson_interval(count, n), count, n]


def class_table(answers: Answers, names: Sequence[str]) -> pd.DataFrame:
    """Return one row for each class that has images, the one that lost most first.

    Columns: `class`, `n`, `accuracy_original`, `accuracy_compressed`, `change`, `low`, `high`
    (95 %, of this class alone), `changed`, `broken`, `fixed`, `p_value` (exact McNemar) and
    `p_value_holm` (corrected for the number of classes).

    Raises:
        ValueError: if the images have no labels.
    """
    if answers.labels is None:
        raise ValueError("without labels there are no classes")
    rows = []
    for label in np.unique(answers.labels):
        own = answers.labels == label
        before, after = answers.original[own] == label, answers.compressed[own] == label
        gained, lost, n = int((after & ~before).sum()), int((before & ~after).sum()), int(own.sum())
        low, high = paired_proportion_interval(gained, lost, n)
        rows.append(
            {
                "class": names[label],
                "n": n,
                "accuracy_original": float(before.mean()),
                "accuracy_compressed": float(after.mean()),
                "change": (gained - lost) / n,
                "low": low,
                "high": high,
                "changed": int(answers.changed[own].sum()),
                "broken": lost,
                "fixed": gained,
                "p_value": mcnemar_p_value(before, after),
            }
        )
    table = pd.DataFrame(rows)
    table["p_value_holm"] = holm(table["p_value"].to_numpy())
    return table.sort_values(
        ["change", "changed"], ascending=[True, False], kind="stable"
    ).reset_index(drop=True)


def changed_table(answers: Answers, files: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Return one row for each changed prediction, the most confident of the original's first.

    Columns: `file`, `label`, `kind`, `original`, `compressed`, `original_confidence` and
    `compressed_confidence`.
    """
    changed = np.flatnonzero(answers.changed)
    order = changed[np.argsort(-answers.original_confidence[changed], kind="stable")]
    labels = answers.labels
    return pd.DataFrame(
        {
            "file": [files[k] for k in order],
            "label": [None if labels is None else names[labels[k]] for k in order],
            "kind": answers.kinds()[order],
            "original": [names[k] for k in answers.original[order]],
            "compressed": [names[k] for k in answers.compressed[order]],
            "original_confidence": answers.original_confidence[order],
            "compressed_confidence": answers.compressed_confidence[order],
        }
    )
