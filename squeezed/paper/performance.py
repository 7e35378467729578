"""Claims about accuracy, size and speed (the paper's Table I)."""

from collections.abc import Callable

from squeezed.paper import printed
from squeezed.paper.claim import Claim
from squeezed.paper.roles import ABLATED, BASELINE
from squeezed.paper.study import Study
from squeezed.paper.verdict import Finding, Judgement, Need, compared, judge
from squeezed.reporting.margins import TIME_MARGIN, exceeds, stays_within
from squeezed.reporting.measures import accuracy_drop, negated, ratio_to_baseline, speedup
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import megabytes, percent, points, times, with_interval

UNQUANTIZED = ("baseline", "pruned", "ablated")
ABLATED_TOLERANCE = 0.05


def judge_accuracy(study: Study) -> Judgement:
    """Judge: every compressed variant loses at most 5 points of accuracy."""
    findings, ours = [], []
    for variant in study.compressed:
        drop = accuracy_drop(study, variant)
        name = in_words(variant)
        if drop is None:
            sentence = f"{name}: not evaluated."
        else:
            ours.append(f"{name} {with_interval(negated(drop), points)}")
            sentence = f"{name} changes accuracy by {with_interval(negated(drop), points)}."
        findings.append(
            compared(
                variant,
                stays_within,
                drop,
                printed.ACCURACY_DROP,
                sentence,
                f"the evaluation of {name}",
            )
        )
    return judge(findings, ours)


def judge_size(study: Study) -> Judgement:
    """Judge: the quantized model's file is smaller than that of every model in 32 bits."""
    findings, ours = [], []
    quantized = _size(study, "quantized")
    if quantized is not None:
        ours.append(f"Quantized {megabytes(quantized)}")
    for variant in UNQUANTIZED:
        if variant not in study.variants and variant != "baseline":
            continue
        other = _size(study, variant)
        name = in_words(variant)
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


def _size(study: Study, variant: str) -> float | None:
    sizes = study.values(variant, "evaluation", "onnx_size_bytes")
    return sum(sizes.values()) / len(sizes) if sizes else None


def judge_speed(study: Study) -> Judgement:
    """Judge: every compressed variant is faster than the baseline, by more than the margin."""
    findings, ours = [], []
    for variant in study.compressed:
        ratio = speedup(study, variant)
        name = in_words(variant)
        if ratio is not None:
            ours.append(f"{name} {with_interval(ratio, times)}")
        sentence = (
            f"{name}: not timed."
            if ratio is None
            else f"{name} runs {with_interval(ratio, times)} as fast."
        )
        findings.append(
            compared(variant, exceeds, ratio, TIME_MARGIN, sentence, f"the evaluation of {name}")
        )
    return judge(findings, ours)


def judge_ablated_grows(study: Study) -> Judgement:
    """Judge what the paper's text says of the ablated model's size: that it grows."""
    ratio = ratio_to_baseline(study, "ablated", "evaluation", "onnx_size_bytes")
    if ratio is None:
        return _no_ablated_size()
    finding = Finding("text", ratio.value > 1, f"It is {times(ratio.value)} the baseline's.")
    return judge([finding], [f"{times(ratio.value)} the baseline's file"])


def judge_ablated_shrinks(study: Study) -> Judgement:
    """Judge what the paper's table says of it: that it shrinks, to about the printed share.

    The share of the study's own data set, of any of the paper's for other data.
    """
    ratio = ratio_to_baseline(study, "ablated", "evaluation", "onnx_size_bytes")
    if ratio is None:
        return _no_ablated_size()
    tables = printed.TABLE_ONE
    sets = [study.paper_dataset] if study.paper_dataset else list(tables)
    ratios = [tables[name][ABLATED].size_mb / tables[name][BASELINE].size_mb for name in sets]
    near = any(abs(ratio.value - value) <= ABLATED_TOLERANCE for value in ratios)
    shares = " or ".join(times(value) for value in dict.fromkeys(ratios))
    findings = [
        Finding(
            "direction",
            ratio.value < 1,
            f"It {'shrinks' if ratio.value < 1 else 'does not shrink'}.",
        ),
        Finding(
            "table",
            near,
            f"It is {times(ratio.value)} the baseline's, the table gives {shares}: "
            f"{'within' if near else 'not within'} {ABLATED_TOLERANCE:.2f}.",
        ),
    ]
    return judge(findings, [f"{times(ratio.value)} the baseline's file"])


def _no_ablated_size() -> Judgement:
    needs = Need("the evaluation of Baseline and Ablated")
    return judge([Finding("ablated", None, "The ablated model was not evaluated.", needs)], [])


def _paper_accuracy(dataset: str | None) -> list[str]:
    return _lines(
        dataset, lambda row, base: points(row.accuracy - base.accuracy), with_baseline=False
    )


def _paper_size(dataset: str | None) -> list[str]:
    return _lines(dataset, lambda row, base: f"{row.size_mb:g} MB", with_baseline=True)


def _paper_speed(dataset: str | None) -> list[str]:
    return _lines(
        dataset,
        lambda row, base: f"{base.time_10000_s / row.time_10000_s:.3f}×",
        with_baseline=False,
    )


def _paper_ablated(dataset: str | None) -> list[str]:
    rows = printed.TABLE_ONE.get(dataset or "")
    if rows is None:
        return []
    base, ablated = rows[BASELINE].size_mb, rows[ABLATED].size_mb
    return [f"table: {base:g} → {ablated:g} MB ({times(ablated / base)})"]


def _lines(
    dataset: str | None,
    word: Callable[[printed.TableOneRow, printed.TableOneRow], str],
    *,
    with_baseline: bool,
) -> list[str]:
    """Return a line for each row of Table I; none for data that the paper does not have."""
    rows = printed.TABLE_ONE.get(dataset or "", {})
    lines = [
        f"{in_words(v)} {word(row, rows[BASELINE])}"
        for v, row in rows.items()
        if with_baseline or v != BASELINE
    ]
    return [f"{printed.DATASET_NAMES[dataset]}:", *lines] if dataset else []


CLAIMS = [
    Claim(
        "accuracy",
        "Compression keeps accuracy within about 5 % of the baseline.",
        "IV-B1, IV-B3, Table I",
        _paper_accuracy,
        f"Each compressed variant loses at most {percent(printed.ACCURACY_DROP)} of all images, "
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
        "ablated_size_text",
        "The ablated model's file grows.",
        "IV-B3, the text",
        lambda dataset: ["text: “increases”"] if dataset else [],
        "Its size over the baseline's is above 1; sizes are exact.",
        judge_ablated_grows,
    ),
    Claim(
        "ablated_size_table",
        "The ablated model's file shrinks, VGG-6's to 0.82×.",
        "Table I, against the text",
        _paper_ablated,
        f"Its size over the baseline's is below 1, and within {ABLATED_TOLERANCE} of the printed "
        "share.",
        judge_ablated_shrinks,
    ),
]
