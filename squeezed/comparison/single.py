"""One model alone on one's own images: what it is made of, how often it is right, how fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from squeezed.comparison.composition import Composition, composition_of, file_table
from squeezed.comparison.image_by_image import OwnAnswers, own_answers_of
from squeezed.comparison.latency import latencies_ms
from squeezed.comparison.pair import Reading, open_together
from squeezed.comparison.pictures import Pictures
from squeezed.comparison.preprocessing_check import PreprocessingCheck, checked_on_some
from squeezed.comparison.tables import COLUMNS, share_row
from squeezed.comparison.wording import milliseconds
from squeezed.statistics.intervals import normal_interval, wilson_interval


@dataclass
class Description:
    """What was found of one model; tables and sentences."""

    summary: pd.DataFrame
    """Accuracy (with labels), confidence and ties, with 95 % intervals and n."""
    classes: pd.DataFrame | None
    """Each class's accuracy, the lowest first; None without labels."""
    mistakes: pd.DataFrame | None
    """Each wrong prediction, the most confident first; None without labels."""
    files: pd.DataFrame
    """Size, parameters, latency and precision of the file."""
    layers: pd.DataFrame
    """Stored and executed precision of each layer."""
    preprocessing_check: PreprocessingCheck | None
    """None without labels."""
    sentences: list[str]
    """What a reader should know, the most important first."""


def describe(path: Path, pictures: Pictures, reading: Reading, threads: int) -> Description:
    """Look at one model.

    Args:
        path: an ONNX or TFLite file; it is only read.
        pictures: to run it on.
        reading: how they become what it sees.
        threads: of the engine.

    Raises:
        UserError: in one sentence, if file, images, labels or settings do not fit.
    """
    (model,), notes = open_together([path], pictures, reading, threads)
    answers = own_answers_of(model, pictures, "running")
    some, check = checked_on_some(model, pictures)
    composition = composition_of(path, model.core, threads)
    files = file_table([path], [composition], latencies_ms([model.core], some[:1]))
    summary, names = _summary(answers), model.outputs.names
    warning = None if check is None else check.sentence()
    sentences = [
        *([warning] if warning else []),
        *_said_of_answers(summary, answers),
        *_said_of_file(path, composition, float(files["latency_ms"][0])),
        *notes,
        *(f"{path.name} {note}." for note in model.notes),
    ]
    return Description(
        summary=summary,
        classes=_classes(answers, names),
        mistakes=_mistakes(answers, pictures.names, names),
        files=files,
        layers=composition.layers,
        preprocessing_check=check,
        sentences=list(dict.fromkeys(sentences)),
    )


def _summary(answers: OwnAnswers) -> pd.DataFrame:
    rows = []
    if answers.labels is not None:
        rows.append(share_row("accuracy", answers.predictions == answers.labels))
    sure = answers.confidence
    rows += [
        ["confidence", float(sure.mean()), *normal_interval(sure), None, len(sure)],
        share_row("ties", answers.ties),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _classes(answers: OwnAnswers, names: list[str]) -> pd.DataFrame | None:
    if answers.labels is None:
        return None
    rows = []
    for label in np.unique(answers.labels):
        own = answers.predictions[answers.labels == label]
        right, n = int((own == label).sum()), len(own)
        low, high = wilson_interval(right, n)
        rows.append([names[label], n, right / n, low, high])
    table = pd.DataFrame(rows, columns=["class", "n", "accuracy", "low", "high"])
    return table.sort_values("accuracy", kind="stable").reset_index(drop=True)


def _mistakes(answers: OwnAnswers, files: Sequence[str], names: list[str]) -> pd.DataFrame | None:
    labels = answers.labels
    if labels is None:
        return None
    wrong = np.flatnonzero(answers.predictions != labels)
    order = wrong[np.argsort(-answers.confidence[wrong], kind="stable")]
    return pd.DataFrame(
        {
            "file": [files[k] for k in order],
            "label": [names[labels[k]] for k in order],
            "prediction": [names[k] for k in answers.predictions[order]],
            "confidence": answers.confidence[order],
        }
    )


def _said_of_answers(summary: pd.DataFrame, answers: OwnAnswers) -> list[str]:
    said, n = [], len(answers.predictions)
    if answers.labels is not None:
        row = summary.iloc[0]
        said.append(
            f"Accuracy {row['value']:.2%} ({row['low']:.2%} to {row['high']:.2%}, n = {n})."
        )
    ties = int(answers.ties.sum())
    if ties:
        said.append(
            f"For {ties} of {n} images the two highest answers tie; the first class is taken."
        )
    return said


def _said_of_file(path: Path, composition: Composition, latency_ms: float) -> list[str]:
    layers = len(composition.layers)
    stored, executed = composition.stored_float, composition.executed_float
    return [
        f"{path.name} has {layers} layers with weights and {composition.parameters:,} parameters; "
        f"{layers - stored} of the layers are stored in 8 bits or fewer, and its engine executes "
        f"{layers - executed} in integers. One image takes {milliseconds(latency_ms)}."
    ]
