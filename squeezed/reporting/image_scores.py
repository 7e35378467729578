"""What each image scores, read from the CSVs beside the results."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from squeezed.reporting.experiment import Experiment

Scores = Callable[[pd.DataFrame], NDArray[np.float64]]


def _equal(predictions: pd.Series, labels: pd.Series) -> NDArray[np.float64]:
    return (predictions.to_numpy() == labels.to_numpy()).astype(np.float64)


def correct(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of a `predictions.csv`: 1 where the prediction is right."""
    return _equal(frame["prediction"], frame["label"])


def flipped(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of a `predictions.csv`: 1 where the prediction is not the baseline's."""
    if "baseline_prediction" not in frame:
        return np.full(len(frame), np.nan)
    return 1 - _equal(frame["prediction"], frame["baseline_prediction"])


def broken(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of a `predictions.csv`: 1 where the baseline is right and it is wrong."""
    if "baseline_prediction" not in frame:
        return np.full(len(frame), np.nan)
    return _equal(frame["baseline_prediction"], frame["label"]) * (1 - correct(frame))


def fixed(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of a `predictions.csv`: 1 where the baseline is wrong and it is right."""
    if "baseline_prediction" not in frame:
        return np.full(len(frame), np.nan)
    return correct(frame) * (1 - _equal(frame["baseline_prediction"], frame["label"]))


def correct_after(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of an `attack_…_images.csv`: 1 where the class is right after the attack."""
    return _equal(frame["prediction_after"], frame["label"])


def correct_before(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score each row of an `attack_…_images.csv`: 1 where the class was right before it."""
    return _equal(frame["prediction_before"], frame["label"])


def column(name: str) -> Scores:
    """Return the score that a column holds; all unknown where there is no such column."""

    def scores(frame: pd.DataFrame) -> NDArray[np.float64]:
        if name not in frame:
            return np.full(len(frame), np.nan)
        return frame[name].to_numpy(np.float64)

    return scores


def by_image(frame: pd.DataFrame | None, scores: Scores) -> pd.Series | None:
    if frame is None or frame.empty:
        return None
    return pd.Series(scores(frame), index=frame["index"].to_numpy())


IMAGE_SCORES = {
    "embedding": "embedding_images.csv",
    "tsne": "tsne.csv",
    "cam": "cam_images.csv",
}
"""The CSV beside an analysis that has each image's scores, in columns named like the metrics."""


ROWS: dict[tuple[str, str], tuple[str, Scores]] = {
    ("evaluation", "top1_accuracy"): ("predictions.csv", correct),
    ("evaluation", "brier_score"): ("predictions.csv", column("brier_score")),
    ("evaluation", "negative_log_likelihood"): (
        "predictions.csv",
        column("negative_log_likelihood"),
    ),
    ("evaluation", "flipped_share"): (
        "predictions.csv",
        flipped,
    ),
}
"""The CSV with each image's score, whose mean is the metric: where no column has its name."""


def scores_by_seed(
    experiment: Experiment, variant: str, analysis: str, name: str
) -> dict[int, pd.Series]:
    file, scores = ROWS.get((analysis, name), (IMAGE_SCORES.get(analysis, ""), column(name)))
    if not file:
        return {}
    found = {
        seed: by_image(experiment.frame(seed, variant, file), scores) for seed in experiment.seeds
    }
    known = {seed: rows.dropna() for seed, rows in found.items() if rows is not None}
    return {seed: rows for seed, rows in known.items() if len(rows)}
