"""Claims about the Carlini–Wagner attack (the paper's Table II)."""

from collections.abc import Callable

from squeezed.paper import printed
from squeezed.paper.claim import Claim
from squeezed.paper.study import Study
from squeezed.paper.verdict import Judgement, compared, judge
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.margins import (
    DISTANCE_MARGIN,
    SHARE_MARGIN,
    TIME_MARGIN,
    exceeds,
    stays_within,
)
from squeezed.reporting.measures import (
    attack_drop,
    attack_speedup,
    distance_ratio,
    extra_attack_drop,
    negated,
    unreliable_reason,
)
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import percent, points, times, with_interval

PAPER_BASELINE_DROP = (
    printed.TABLE_TWO["cifar10"]["baseline"].accuracy_before
    - printed.TABLE_TWO["cifar10"]["baseline"].accuracy_after
)
UNMOVED = 2e-6
"""The change of variables alone may move a pixel by 1e-6."""
QUANTIZED = ("quantized", "pruned_quantized")
ATTACKED_DATA = tuple(printed.TABLE_TWO)
"""The data sets whose networks the paper attacked: CIFAR-10."""
ATTACKED = tuple(v for v in printed.TABLE_TWO["cifar10"] if v != "baseline")
"""The compressed variants that it attacked: not the ablated one."""


def judge_baseline_falls(study: Study) -> Judgement:
    """Judge: the attack as stated takes at least half of the paper's 33.8 points."""
    drop = attack_drop(study, "baseline", study.protocol)
    threshold = PAPER_BASELINE_DROP / 2
    sentence = (
        "The baseline was not attacked."
        if drop is None
        else f"The attack as stated changes the baseline's accuracy by "
        f"{with_interval(negated(drop), points)}."
    )
    missing = f"the result {study.protocol} of Baseline"
    finding = compared("baseline", exceeds, drop, threshold, sentence, missing)
    return judge([finding], [] if drop is None else [with_interval(negated(drop), points)])


def judge_not_worse(study: Study) -> Judgement:
    """Judge: the attack takes no more from a variant of the paper's than from the baseline.

    Drops, not accuracies after the attack: a variant that was less accurate before is not for that
    worse defended.
    """
    findings, ours = [], []
    attacked = [variant for variant in ATTACKED if variant in study.variants]
    for variant in attacked:
        extra = extra_attack_drop(study, variant, study.protocol)
        name = in_words(variant)
        if extra is not None:
            ours.append(f"{name} {with_interval(negated(extra), points)}")
        findings.append(
            compared(
                variant,
                stays_within,
                extra,
                SHARE_MARGIN,
                f"{name}: not attacked."
                if extra is None
                else f"Against the baseline's, the change that the attack makes to {name}'s "
                f"accuracy differs by {with_interval(negated(extra), points)}.",
                f"the result {study.protocol} of {name}",
            )
        )
    doubts = [*_harmless(study), *_gate(study, attacked), *_closer(study, attacked)]
    return judge(findings, ours, doubts)


def judge_quantization_stops(study: Study) -> Judgement:
    """Judge: the attack takes nothing from the quantized variants, and not for a trivial reason."""
    findings, ours, strong_doubts = [], [], []
    for variant in QUANTIZED:
        if variant not in study.variants:
            continue
        drop = attack_drop(study, variant, study.protocol)
        name = in_words(variant)
        if drop is not None:
            ours.append(f"{name} {with_interval(negated(drop), points)}")
        findings.append(
            compared(
                variant,
                stays_within,
                drop,
                SHARE_MARGIN,
                f"{name}: not attacked."
                if drop is None
                else f"The attack as stated changes {name} by "
                f"{with_interval(negated(drop), points)}.",
                f"the result {study.protocol} of {name}",
            )
        )
        strong = _strong_drop(study, variant)
        if strong is not None and exceeds(strong, SHARE_MARGIN):
            strong_doubts.append(
                f"The strong attack takes {with_interval(strong, percent)} of all images from "
                f"{name}."
            )
    doubts = [*_never_moved(study), *_harmless(study), *strong_doubts]
    doubts += _gate(study, list(QUANTIZED))
    return judge(findings, ours, doubts)


def judge_pruning(study: Study) -> Judgement:
    """Judge: the attack takes less from the pruned model, and runs faster on it."""
    extra = negated(extra_attack_drop(study, "pruned", study.protocol))
    quicker = attack_speedup(study, "pruned")
    findings = [
        compared(
            "drop",
            exceeds,
            extra,
            SHARE_MARGIN,
            "The pruned model was not attacked."
            if extra is None
            else "Against the baseline's, the change that the attack makes to Pruned's accuracy "
            f"differs by {with_interval(extra, points)}.",
            f"the result {study.protocol} of Pruned",
        ),
        compared(
            "time",
            exceeds,
            quicker,
            TIME_MARGIN,
            "The attack on the pruned model was not timed."
            if quicker is None
            else f"It runs {with_interval(quicker, times)} as fast on Pruned.",
            "the result attack_timing of Pruned",
        ),
    ]
    ours = []
    if extra is not None:
        ours.append(f"change against the baseline's {with_interval(extra, points)}")
    if quicker is not None:
        ours.append(f"attack {with_interval(quicker, times)} as fast")
    doubts = [*_gate(study, ["pruned"]), *_closer(study, ["pruned"])]
    return judge(findings, ours, doubts)


def judge_quantized_faster(study: Study) -> Judgement:
    """Judge: the attack runs several times faster on the quantized models."""
    findings, ours = [], []
    for variant in QUANTIZED:
        if variant not in study.variants:
            continue
        stated = printed.ATTACK_SPEEDUP[variant]
        ratio = attack_speedup(study, variant)
        name = in_words(variant)
        if ratio is not None:
            ours.append(f"{name} {with_interval(ratio, times)}")
        findings.append(
            compared(
                variant,
                exceeds,
                ratio,
                stated / 2,
                f"The attack on {name} was not timed."
                if ratio is None
                else f"It runs {with_interval(ratio, times)} as fast on {name} as on the "
                f"baseline (paper {stated}×).",
                f"the result attack_timing of {name}",
            )
        )
    # Where no image moves, what was timed is an attack that never began.
    return judge(findings, ours, _never_moved(study))


def _strong_drop(study: Study, variant: str) -> Estimate | None:
    return attack_drop(study, variant, study.strong_attack) if study.strong_attack else None


def _harmless(study: Study) -> list[str]:
    """Return the doubt that an attack which hurts nobody proves nothing."""
    drop = attack_drop(study, "baseline", study.protocol)
    if drop is not None and stays_within(drop, SHARE_MARGIN):
        return [
            "With the paper's settings the attack does not hurt the uncompressed baseline either "
            f"({with_interval(negated(drop), points)}), so that it says nothing about defence."
        ]
    return []


def _never_moved(study: Study) -> list[str]:
    """Return the doubt that in the paper's arrangement no gradient reaches the image."""
    for variant in study.variants:
        moved = metric(study, variant, study.arrangement, "max_abs_change") or metric(
            study, variant, "diagnostics", "paper_arrangement_max_abs_change"
        )
        if moved is not None and moved.value < UNMOVED:
            return [
                "With the gradient that PyTorch's 8-bit layers give, as in the paper, no image of "
                f"{in_words(variant)} moves at all: the attack does not fail, it never starts."
            ]
    return []


def _gate(study: Study, variants: list[str]) -> list[str]:
    doubts = []
    for variant in variants:
        reason = unreliable_reason(study, variant)
        if reason is not None:
            doubts.append(f"{in_words(variant)} is marked unreliable: {reason}")
    return doubts


def _closer(study: Study, variants: list[str]) -> list[str]:
    """Return the doubt that a variant is fooled by clearly smaller changes under strong attack."""
    doubts = []
    for variant in variants:
        ratio = distance_ratio(study, variant)
        if ratio is not None and stays_within(ratio, 1 - DISTANCE_MARGIN):
            doubts.append(
                f"Under the strong attack {in_words(variant)} is fooled by changes "
                f"{with_interval(ratio, times)} as large as the baseline's."
            )
    return doubts


def _on_cifar10(*lines: str) -> Callable[[str | None], list[str]]:
    """Return what gives the paper's figures for CIFAR-10 alone, which alone it attacked."""
    return lambda dataset: ["CIFAR-10:", *lines] if dataset == "cifar10" else []


def _printed_changes() -> list[str]:
    rows = printed.TABLE_TWO["cifar10"]
    return [
        f"{in_words(v)} {points(row.accuracy_after - row.accuracy_before)}"
        for v, row in rows.items()
    ]


CLAIMS = [
    Claim(
        "attack_hurts",
        "The Carlini–Wagner attack (40 steps, learning rate 0.5e-4) takes 33.8 points of "
        "accuracy from the baseline.",
        "IV-D1, Table II",
        _on_cifar10("Baseline 81.1 → 47.3 %"),
        "At the paper's settings the baseline loses at least half as much.",
        judge_baseline_falls,
        made_on=ATTACKED_DATA,
    ),
    Claim(
        "not_worse_defended",
        "No compressed variant is worse defended than the baseline.",
        "IV-D1, Table II",
        _on_cifar10("changes by the attack:", *_printed_changes()),
        "The attack takes from no variant that the paper attacked over one point more than from "
        "the baseline, paired image by image; the gate and the strong attack must not object.",
        judge_not_worse,
        made_on=ATTACKED_DATA,
    ),
    Claim(
        "quantization_stops_attack",
        "Quantization stops the attack.",
        "IV-D1, Table II",
        _on_cifar10("Quantized 81.9 → 81.9 %", "Pruned quantized 75.7 → 75.7 %"),
        "The attack takes at most one point; and the gate, the strong attack and the effect on "
        "the baseline must not show another cause.",
        judge_quantization_stops,
        made_on=ATTACKED_DATA,
    ),
    Claim(
        "pruning_weakens_attack",
        "Pruning makes the attack weaker, and faster to run.",
        "IV-D1, Table II",
        _on_cifar10("drop 29.7 against 33.8 points", "5,270 against 8,283 ms (1.57×)"),
        "The drop is smaller than the baseline's by over one point, and the attack at least "
        f"{TIME_MARGIN}× as fast.",
        judge_pruning,
        made_on=ATTACKED_DATA,
    ),
    Claim(
        "quantized_attack_faster",
        "The attack runs six times faster on quantized models.",
        "IV-D1, Table II",
        _on_cifar10("Quantized 6.02×", "Pruned quantized 6.78×"),
        "At least half of the printed ratio.",
        judge_quantized_faster,
        made_on=ATTACKED_DATA,
    ),
]
