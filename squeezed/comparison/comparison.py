"""Compare a model with its compressed version on one's own images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from numpy.typing import NDArray

from squeezed.comparison.composition import (
    composition_of,
    file_table,
    layer_table,
)
from squeezed.comparison.divergence import COLUMNS, IMAGES, divergence_table
from squeezed.comparison.image_by_image import Answers, answers_of
from squeezed.comparison.latency import latencies_ms
from squeezed.comparison.pair import open_together, reading_of
from squeezed.comparison.pictures import Pictures, pictures_of
from squeezed.comparison.preprocessing_check import PreprocessingCheck, checked_on_some
from squeezed.comparison.tables import WORST, changed_table, class_table, summary_table
from squeezed.comparison.wording import (
    sentences_on_answers,
    sentences_on_divergence,
    sentences_on_files,
)
from squeezed.graphs.foreign.model import ForeignModel
from squeezed.graphs.foreign.signature import Layout


@dataclass
class Comparison:
    """What changed between a model and its compressed version; tables and sentences."""

    summary: pd.DataFrame
    """Each measure with its 95 % interval and n (`squeezed.comparison.tables.summary_table`)."""
    classes: pd.DataFrame | None
    """Each class, with Holm's correction; None without labels."""
    changed: pd.DataFrame
    """Each image whose prediction changed, the original's most confident first."""
    files: pd.DataFrame
    """Size, parameters, latency and precision of both files."""
    layers: pd.DataFrame
    """Stored and executed precision of each layer."""
    divergence: pd.DataFrame
    """Error of each layer's activations (`squeezed.comparison.divergence`)."""
    preprocessing_check: PreprocessingCheck | None
    """None without labels."""
    sentences: list[str]
    """What a reader should know, the most important first."""
    answers: Answers
    """Both models' answers to each image."""
    pictures: Pictures
    """The images."""

    @property
    def worst_classes(self) -> pd.DataFrame | None:
        """The ten classes that lost most."""
        return None if self.classes is None else self.classes.head(WORST)

    def value(self, measure: str) -> pd.Series:
        """Return the row of a measure of `summary`.

        Raises:
            KeyError: if there is no such measure.
        """
        rows = self.summary[self.summary["measure"] == measure]
        if rows.empty:
            raise KeyError(measure)
        return rows.iloc[0]


def compare(
    original: str | Path,
    compressed: str | Path,
    images: str | Path | NDArray[Any],
    labels: str | Path | Sequence[Any] | NDArray[Any] | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    resize: int | None = None,
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear",
    range: tuple[float, float] = (0.0, 1.0),
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    channel_order: Literal["RGB", "BGR"] = "RGB",
    layout: Layout = "auto",
    outputs: str | Path | None = None,
    limit: int | None = None,
    threads: int = 1,
) -> Comparison:
    """Compare two classifiers image by image.

    Args:
        original: an ONNX or TFLite file. Files are only read.
        compressed: another.
        images: a folder or zip archive of pictures, in a folder for each class or not; or an array
            (n, C, H, W), uint8 or float in [0, 1].
        labels: a CSV file with the columns `file` and `label`, or an array of classes. None: the
            class folders; without those there is no accuracy, only agreement.
        size: what pictures are cropped to, where the models leave it open; one number is a square.
        resize: what their shorter side is resized to before.
        interpolation: how.
        range: what black and white are to the models before `mean` is subtracted.
        mean: in units of `range`, one number or one for each channel in the models' order.
        std: likewise.
        channel_order: of the models.
        layout: of their input, where it cannot be told from its shape.
        outputs: a text file with the name of each output, or `background_first`.
        limit: compare on so many images, spread evenly over all.
        threads: of the engines.

    Returns:
        Tables and sentences. Ties at the top are decided for the first class, and counted.

    Raises:
        UserError: in one sentence, if files, images, labels or settings do not fit.

    Example:
        >>> import squeezed
        >>> found = squeezed.compare("model.onnx", "model_int8.onnx", "photos/")  # doctest: +SKIP
        >>> found.summary  # doctest: +SKIP
    """
    pictures = pictures_of(images, labels, limit=limit)
    reading = reading_of(
        size=size,
        resize=resize,
        interpolation=interpolation,
        range=range,
        mean=mean,
        std=std,
        channel_order=channel_order,
        layout=layout,
        outputs=outputs,
    )
    paths = [Path(original), Path(compressed)]
    models, notes = open_together(paths, pictures, reading, threads)
    return compare_models(paths, models, pictures, notes, threads)


def compare_models(
    paths: list[Path],
    models: list[ForeignModel],
    pictures: Pictures,
    notes: list[str],
    threads: int,
) -> Comparison:
    """Compare two models that were opened together (`squeezed.comparison.pair`)."""
    original, compressed = models
    answers = answers_of(original, compressed, pictures, "comparing")
    some, check = checked_on_some(original, pictures)
    compositions = [
        composition_of(path, model.core, threads) for path, model in zip(paths, models, strict=True)
    ]
    latencies = latencies_ms([model.core for model in models], some[:1])
    files = file_table(paths, compositions, latencies)
    same = paths[0].resolve() == paths[1].resolve()
    divergence = (
        pd.DataFrame(columns=COLUMNS)
        if same
        else divergence_table(original, compressed, some[:: max(1, len(some) // IMAGES)][:IMAGES])
    )
    names = original.outputs.names
    summary = summary_table(answers)
    classes = None if answers.labels is None else class_table(answers, names)
    warning = None if check is None else check.sentence()
    sentences = [
        *([warning] if warning else []),
        *sentences_on_answers(summary, classes),
        *sentences_on_files(files),
        *sentences_on_divergence(divergence),
        *notes,
        *(
            f"{path.name} {note}."
            for path, model in zip(paths, models, strict=True)
            for note in model.notes
        ),
    ]
    return Comparison(
        summary=summary,
        classes=classes,
        changed=changed_table(answers, pictures.names, names),
        files=files,
        layers=layer_table(*compositions),
        divergence=divergence,
        preprocessing_check=check,
        sentences=list(dict.fromkeys(sentences)),
        answers=answers,
        pictures=pictures,
    )
