"""Claims about accuracy, size and speed (the paper's Table I)."""

from squeezed.reporting import paper
from squeezed.reporting.claims.claim import TIME_MARGIN, Claim
from squeezed.reporting.claims.verdict import (
    Finding,
    Judgement,
    Need,
    exceeds,
    judge,
    stays_within,
    what_it_takes,
)
from squeezed.reporting.collection import Experiment
from squeezed.reporting.measures import accuracy_drop, negated, ratio_to_baseline, speedup
from squeezed.reporting.vocabulary import variant_name
from squeezed.reporting.wording import megabytes, percent, points, times, with_interval

PAPER_FIGURES_OF = "cifar10"
"""The paper's data set that is quoted beside an experiment that the paper does not have."""
UNQUANTIZED = ("baseline", "pruned", "ablated")
ABLATED_TOLERANCE = 0.05


def _row_name(dataset: str | None) -> str:
    return paper.DATASET_NAMES[dataset or PAPER_FIGURES_OF]


def judge_accuracy(experiment: Experiment) -> Judgement:
    """Judge: every compressed variant loses at most 5 points of accuracy."""
    findings, ours = [], []
    for variant in experiment.compressed:
        drop = accuracy_drop(experiment, variant)
        name = variant_name(variant)
        if drop is None:
            sentence = f"{name}: not evaluated."
        else:
            ours.append(f"{name} {with_interval(negated(drop), points)}")
            sentence = f"{name} changes accuracy by {with_interval(negated(drop), points)}."
        findings.append(
            Finding(
                variant,
                stays_within(drop, paper.ACCURACY_DROP),
                sentence,
                what_it_takes(drop, paper.ACCURACY_DROP, f"the evaluation of {name}"),
            )
        )
    return judge(findings, ours)


def judge_size(experiment: Experiment) -> Judgement:
    """Judge: the quantized model's file is smaller than that of every model in 32 bits."""
    findings, ours = [], []
    quantized = _size(experiment, "quantized")
    if quantized is not None:
        ours.append(f"Quantized {megabytes(quantized)}")
    for variant in UNQUANTIZED:
        if variant not in experiment.variants and variant != "baseline":
            continue
        other = _size(experiment, variant)
        name = variant_name(variant)
        if quantized is None or other is None:
            which = "Quantized" if quantized is None else name
            findings.append(
                Finding(
                    variant, None, f"{which}: no file size.", Need(f"the evaluation of {which}")
                )
            )
            continue
        ours.append(f"{name} {megabytes(other)}")
        findings.append(
            Finding(
                variant,
                quantized < other,
                f"Quantized is {times(quantized / other)} the size of {name}.",
            )
        )
    return judge(findings, ours)


def _size(experiment: Experiment, variant: str) -> float | None:
    sizes = experiment.values(variant, "evaluation", "model_size_bytes")
    return sum(sizes.values()) / len(sizes) if sizes else None


def judge_speed(experiment: Experiment) -> Judgement:
    """Judge: every compressed variant is faster than the baseline, by more than the margin."""
    findings, ours = [], []
    for variant in experiment.compressed:
        ratio = speedup(experiment, variant)
        name = variant_name(variant)
        if ratio is not None:
            ours.append(f"{name} {with_interval(ratio, times)}")
        sentence = (
            f"{name}: not timed."
            if ratio is None
            else f"{name} runs {with_interval(ratio, times)} as fast."
        )
        findings.append(
            Finding(
                variant,
                exceeds(ratio, TIME_MARGIN),
                sentence,
                what_it_takes(ratio, TIME_MARGIN, f"the evaluation of {name}"),
            )
        )
    return judge(findings, ours)


def judge_ablated_size(experiment: Experiment) -> Judgement:
    """Judge the two things that the paper says of the ablated model's size."""
    ratio = ratio_to_baseline(experiment, "ablated", "evaluation", "model_size_bytes")
    needs = Need("the evaluation of Baseline and Ablated")
    if ratio is None:
        missing = Finding("ablated", None, "The ablated model was not evaluated.", needs)
        return judge([missing], [])
    printed = [
        rows["ablated"].size_mb / rows["baseline"].size_mb for rows in paper.TABLE_ONE.values()
    ]
    near = any(abs(ratio.value - value) <= ABLATED_TOLERANCE for value in printed)
    low, high = min(printed), max(printed)
    findings = [
        Finding(
            "text",
            ratio.value > 1,
            f"The text says that it grows; ours is {times(ratio.value)} the baseline.",
        ),
        Finding(
            "table",
            near,
            f"The table gives {times(low)} (VGG-6) and {times(high)} (VGG-16); ours "
            f"{'agrees within' if near else 'differs by more than'} {ABLATED_TOLERANCE:.2f}.",
        ),
        Finding(
            "direction",
            ratio.value < 1,
            f"It {'shrinks' if ratio.value < 1 else 'does not shrink'}, "
            f"{'as' if ratio.value < 1 else 'unlike'} in the table.",
        ),
    ]
    return judge(findings, [f"{times(ratio.value)} the baseline's file"])


def _paper_accuracy(dataset: str | None) -> list[str]:
    rows = paper.TABLE_ONE[dataset or PAPER_FIGURES_OF]
    base = rows["baseline"].accuracy
    parts = [
        f"{variant_name(v)} {points(row.accuracy - base)}"
        for v, row in rows.items()
        if v != "baseline"
    ]
    return [f"{_row_name(dataset)}:", *parts]


def _paper_size(dataset: str | None) -> list[str]:
    rows = paper.TABLE_ONE[dataset or PAPER_FIGURES_OF]
    parts = [f"{variant_name(v)} {row.size_mb:g} MB" for v, row in rows.items()]
    return [f"{_row_name(dataset)}:", *parts]


def _paper_speed(dataset: str | None) -> list[str]:
    rows = paper.TABLE_ONE[dataset or PAPER_FIGURES_OF]
    base = rows["baseline"].time_10000_s
    parts = [
        f"{variant_name(v)} {base / row.time_10000_s:.3f}×"
        for v, row in rows.items()
        if v != "baseline"
    ]
    return [f"{_row_name(dataset)}:", *parts]


CLAIMS = [
    Claim(
        "accuracy",
        "Compression keeps accuracy within about 5 % of the baseline.",
        "IV-B1, IV-B3, Table I",
        _paper_accuracy,
        f"Each compressed variant loses at most {percent(paper.ACCURACY_DROP)} of all images, "
        "paired with the baseline image by image.",
        judge_accuracy,
    ),
    Claim(
        "size",
        "Quantizing to 8 bits shrinks the file most.",
        "IV-B3, Table I",
        _paper_size,
        "The quantized model's file is smaller than each 32-bit model's; sizes are exact.",
        judge_size,
    ),
    Claim(
        "speed",
        "Inference gets faster with every method.",
        "IV-B3, Table I",
        _paper_speed,
        f"Each variant is at least {TIME_MARGIN:g}× as fast as the baseline timed beside it.",
        judge_speed,
    ),
    Claim(
        "ablated_size",
        "The ablated model's file: it grows (text), it shrinks to 0.82× (table).",
        "IV-B3 against Table I",
        lambda dataset: [
            "text: “increases”",
            "table: 9.87 → 8.11 MB (0.82×), 540 → 531 MB (0.98×)",
        ],
        f"Its size over the baseline's: above 1, and within {ABLATED_TOLERANCE} of a printed one.",
        judge_ablated_size,
    ),
]
