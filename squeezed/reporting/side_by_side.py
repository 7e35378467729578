"""The one table: a row for each variant, a column for each question, shaded by what changed.

A cell is shaded where the variant differs from the baseline beyond the interval of the difference;
minus and red are worse, plus and green are better, whatever the figure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd

from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.harms import calibration_change, corruption_change
from squeezed.reporting.margins import (
    DISTANCE_MARGIN,
    SHARE_MARGIN,
    SIZE_MARGIN,
    TIME_MARGIN,
    direction,
)
from squeezed.reporting.measures import (
    accuracy,
    accuracy_drop,
    distance_ratio,
    negated,
    over_one,
    size_ratio,
    speedup,
    unreliable_reason,
)
from squeezed.reporting.recommendation import flips
from squeezed.reporting.scores import CLUSTER_SCORES, Score, advantage, map_scores
from squeezed.reporting.tables import Cell, Column, Table
from squeezed.reporting.wording import (
    NONE,
    Format,
    bare,
    interval,
    megabytes,
    percent,
    points,
    times,
    with_interval,
)

Measure = Callable[[Experiment, str], Estimate | None]
SHARES, RATIOS = (0.03, 0.12), (0.1, 0.5)
"""Where the second and the third shade of a difference begin."""


@dataclass(frozen=True)
class Question:
    """A column: a figure of each variant, and by how much it is better than the baseline's."""

    key: str
    label: str
    unit: str
    help: str
    form: Format
    ours: Measure
    gain: Measure
    """Of a variant: plus is better, as a share; None where it cannot be compared."""
    margin: float = SHARE_MARGIN
    """A smaller difference counts as none."""
    steps: tuple[float, float] = SHARES
    fixed: float | None = None
    """What the baseline's figure is by definition."""


def questions_of(experiment: Experiment) -> list[Question]:
    """Return the columns in the order of reading; the last ones as far as the scores exist."""
    clusters = CLUSTER_SCORES[0]
    questions = [
        Question(
            "accuracy",
            "Accuracy",
            "%",
            "Test images classified correctly. Difference paired image by image.",
            percent,
            accuracy,
            lambda e, v: negated(accuracy_drop(e, v)),
        ),
        Question(
            "flips",
            "Flips",
            "%",
            "Test images classified otherwise than by the baseline: what users see change.",
            percent,
            flips,
            lambda e, v: negated(flips(e, v)),
            0.0,
            fixed=0.0,
        ),
        Question(
            "size",
            "File",
            "MB",
            "The deployed ONNX file, 10⁶ bytes a MB. Shaded where it differs by over 2 %.",
            megabytes,
            partial(_metric, "evaluation", "onnx_size_bytes"),
            _smaller,
            1 - 1 / SIZE_MARGIN,
            RATIOS,
        ),
        Question(
            "speed",
            "Speed",
            "×",
            "Times the baseline's speed, both timed in turn by one engine.",
            times,
            speedup,
            lambda e, v: over_one(speedup(e, v)),
            TIME_MARGIN - 1,
            RATIOS,
            1.0,
        ),
        Question(
            "robustness",
            "Change to fool",
            "×",
            "Length of the smallest change found that fools the variant, over the baseline's on "
            "the same image: the median. Not shaded where the gate calls it unreliable.",
            times,
            distance_ratio,
            lambda e, v: over_one(distance_ratio(e, v)),
            DISTANCE_MARGIN,
            RATIOS,
            1.0,
        ),
        Question(
            "calibration",
            "Calibration error",
            "%",
            "Mean distance of confidence and accuracy; less is better. Difference as if of other "
            "images, so that its interval is too wide.",
            percent,
            partial(_metric, "evaluation", "expected_calibration_error"),
            lambda e, v: negated(calibration_change(e, v)),
        ),
        Question(
            "corruptions",
            "Corrupted",
            "%",
            "Accuracy on noisy, blurred, darkened … images. Difference paired image by image.",
            percent,
            partial(_metric, "corruptions", "corruption_accuracy"),
            corruption_change,
        ),
        Question(
            "clustering",
            "Clustering",
            "%",
            "Images whose neighbours in the t-SNE map vote for their class.",
            percent,
            partial(_metric, clusters.analysis, clusters.metric),
            partial(_advantage, clusters),
        ),
    ]
    for method in experiment.map_methods[:1]:
        share = map_scores(method)[-1]
        questions.append(
            Question(
                "looks",
                "On object",
                "%",
                "Share of the activation map that lies on the object.",
                percent,
                partial(_metric, share.analysis, share.metric),
                partial(_advantage, share),
                share.margin,
            )
        )
    return questions


def side_by_side(key: str, experiment: Experiment) -> Table | None:
    """Return the table, or None without any figure; columns without figures are left out."""
    columns, cells, frame = [], {}, {}
    for question in questions_of(experiment):
        ours = {v: _ours(question, experiment, v) for v in experiment.variants}
        if not any(estimate for v, estimate in ours.items() if v != "baseline"):
            continue
        columns.append(
            Column(
                question.key,
                question.label,
                f"{question.help} {_counted(ours)}".strip(),
                question.form,
                unit=question.unit,
            )
        )
        for variant, estimate in ours.items():
            gain = question.gain(experiment, variant) if variant != "baseline" else None
            doubtful = bool(question.key == "robustness" and unreliable_reason(experiment, variant))
            cells[variant, question.key] = _cell(question, estimate, gain, doubtful)
            frame[variant, question.key] = (estimate, gain)
    if not columns:
        return None
    rows = [(v, [cells[v, c.key] for c in columns]) for v in experiment.variants]
    lines = [
        {"experiment": experiment.name, "variant": v}
        | {
            name: value
            for column in columns
            for name, value in _flat(column.key, *frame[v, column.key]).items()
        }
        for v in experiment.variants
    ]
    return Table(key, columns, rows, pd.DataFrame(lines))


def _ours(question: Question, experiment: Experiment, variant: str) -> Estimate | None:
    if variant == "baseline" and question.fixed is not None:
        others = (question.ours(experiment, v) for v in experiment.compressed)
        return Estimate(question.fixed) if any(others) else None
    return question.ours(experiment, variant)


def shade_of(question: Question, gain: Estimate | None) -> str:
    """Return `better-1` … `worse-3`; nothing where there is no clear difference."""
    found = direction(gain, question.margin)
    if gain is None or not found:
        return ""
    depth = 1 + sum(abs(gain.value) >= step for step in question.steps)
    return f"{'better' if found > 0 else 'worse'}-{depth}"


def _cell(
    question: Question, estimate: Estimate | None, gain: Estimate | None, doubtful: bool
) -> Cell:
    if estimate is None:
        return Cell(NONE)
    form = points if question.form is percent else _as_percent
    told = f"{with_interval(gain, form)} against the baseline" if gain is not None else ""
    over = f"{estimate.basis}" if estimate.basis else ""
    return Cell(
        bare(question.form(estimate.value)),
        estimate.value,
        "unreliable" if doubtful else interval(estimate, question.form),
        shade="" if doubtful else shade_of(question, gain),
        help="; ".join(filter(None, [told, over])),
    )


def _as_percent(value: float) -> str:
    return points(value).replace("points", "%")


def _counted(ours: dict[str, Estimate | None]) -> str:
    """Return what the intervals of a column are over."""
    bases = dict.fromkeys(e.basis for e in ours.values() if e is not None and e.basis)
    return f"n: {' or '.join(bases)}." if bases else ""


def _flat(key: str, estimate: Estimate | None, gain: Estimate | None) -> dict[str, object]:
    fields: dict[str, object] = {key: None if estimate is None else estimate.value}
    for name, one in ((key, estimate), (f"{key}_gain", gain)):
        if one is not None:
            fields |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    return fields


def _metric(analysis: str, name: str, experiment: Experiment, variant: str) -> Estimate | None:
    return metric(experiment, variant, analysis, name)


def _advantage(score: Score, experiment: Experiment, variant: str) -> Estimate | None:
    return advantage(experiment, variant, score)


def _smaller(experiment: Experiment, variant: str) -> Estimate | None:
    ratio = size_ratio(experiment, variant)
    if ratio is None:
        return None
    return Estimate(1 - ratio.value)
