"""What the attacks and the explanations come to, in plain words: questions with their answers."""

import json

import numpy as np

from squeezed.paper import printed
from squeezed.paper.explainability import (
    METHOD,
    judge_localisation,
    judge_none_worse,
    judge_quantized_best,
)
from squeezed.paper.roles import PRUNED, QUANTIZED
from squeezed.paper.study import Study
from squeezed.paper.verdict import Finding, Judgement, Verdict
from squeezed.reporting.estimates import metric
from squeezed.reporting.margins import DISTANCE_MARGIN, SHARE_MARGIN, exceeds, stays_within
from squeezed.reporting.measures import attack_drop, distance_ratio, negated, unreliable_reason
from squeezed.reporting.vocabulary import listed
from squeezed.reporting.wording import grey_levels, percent, plain, points, times, with_interval

LEAST_DROP = 0.1
"""A loss of less than ten points is none of the paper's 33.8."""
NEAR = 0.1
"""A success rate that differs from the paper's by more than this is not near it."""


def questions_of(study: Study) -> list[tuple[str, str]]:
    """Return (question, answer) pairs; a question without data is left out."""
    pairs = [
        ("Does quantization protect?", _protects(study, QUANTIZED)),
        ("Does pruning protect?", _protects(study, PRUNED)),
        ("Do the paper's settings give its figures?", _stated_settings(study)),
        (
            "Do compressed models cluster as well?",
            _verdict(judge_none_worse(study), _pixels(study)),
        ),
        (
            "Are the quantized model's clusters the most distinct?",
            _verdict(judge_quantized_best(study), _pixels(study)),
        ),
        (
            "Is localisation preserved, and even enhanced?",
            _verdict(judge_localisation(study), _random_map(study)),
        ),
    ]
    return [(question, answer) for question, answer in pairs if answer]


def _protects(study: Study, variant: str) -> str:
    success = metric(study, variant, study.strong_attack or "", "success_rate")
    ratio = distance_ratio(study, variant)
    if success is None or ratio is None:
        return ""
    if unreliable_reason(study, variant):
        return f"It cannot be told: {unreliable_reason(study, variant)}"
    fooled = f"the strong attack fools {percent(success.value)} of the images that it had right"
    length = f"with changes {with_interval(ratio, times)} as long as for the baseline"
    if exceeds(ratio, 1 + DISTANCE_MARGIN):
        return f"A little: {fooled}, but {length}."
    if stays_within(ratio, 1 + DISTANCE_MARGIN):
        return f"No: {fooled}, {length}."
    return f"It cannot be told from so little: {fooled}, {length}."


def _stated_settings(study: Study) -> str:
    drop = attack_drop(study, "baseline", study.protocol)
    moved = metric(study, "baseline", study.protocol, "max_abs_change")
    if drop is None or moved is None:
        return ""
    levels = grey_levels(moved.value).removesuffix("/255")
    near = exceeds(drop, LEAST_DROP)
    begins = "Partly" if near else "It cannot be told" if near is None else "No"
    harmless = " That is nothing." if stays_within(drop, SHARE_MARGIN) else ""
    return (
        f"{begins}: the baseline's accuracy changes by {with_interval(negated(drop), points)} "
        f"(paper, CIFAR-10: −33.8 points).{harmless} No pixel moves by more than {levels} of 255 "
        "grey levels, and rounding to whole levels erases what is below half a level."
        f"{_other_settings(study)}"
    )


def _other_settings(study: Study) -> str:
    """Return which learning rate would give about the paper's figure, if any that was tried."""
    row = printed.TABLE_TWO["cifar10"]["baseline"]
    success = 1 - row.accuracy_after / row.accuracy_before
    nearest = _nearest_learning_rate(study, success)
    if nearest is None:
        return ""
    rate, fooled = nearest
    if abs(fooled - success) > NEAR:
        return ""
    return (
        f" Of the learning rates tried, {rate:g} comes nearest to the paper's figure: it fools "
        f"{percent(fooled)} of what was right (paper: {percent(success)})."
    )


def _nearest_learning_rate(study: Study, success_rate: float) -> tuple[float, float] | None:
    """Return which learning rate of the attack's variations comes nearest to a success rate.

    Returns:
        the learning rate and its success rate, the mean over seeds; None where none was tried.
    """
    found: dict[float, list[float]] = {}
    for seed in study.seeds:
        frame = study.frame(seed, "baseline", "attack_variations.csv")
        if frame is None:
            continue
        for changes, success in zip(frame["changes"], frame["success_rate"], strict=True):
            settings = json.loads(changes)
            if list(settings) == ["learning_rate"] and np.isfinite(success):
                found.setdefault(settings["learning_rate"], []).append(float(success))
    if not found:
        return None
    means = {rate: float(np.mean(successes)) for rate, successes in found.items()}
    nearest = min(means, key=lambda rate: abs(means[rate] - success_rate))
    return nearest, means[nearest]


def _pixels(study: Study) -> str:
    """Return the control of the clusters: neighbours among the pixels, without any network."""
    pixels = metric(study, "baseline", "embedding", "pixels_knn_accuracy")
    ours = metric(study, "baseline", "embedding", "knn_accuracy")
    if pixels is None or ours is None:
        return ""
    return (
        f" Control: neighbours among the pixels themselves are right for {percent(pixels.value)}, "
        f"among the baseline's features for {with_interval(ours, percent)}."
    )


def _random_map(study: Study) -> str:
    """Return the control of the maps: by how much they are better than a random one."""
    insertion = metric(study, "baseline", "cam", f"{METHOD}_insertion_net")
    deletion = metric(study, "baseline", "cam", f"{METHOD}_deletion_net")
    if insertion is None or deletion is None:
        return ""
    return (
        " Control: the baseline's maps are better than a random one by "
        f"{with_interval(insertion, plain)} (insertion) and {with_interval(deletion, plain)} "
        "(deletion)."
    )


def _verdict(judgement: Judgement, control: str) -> str:
    """Return a verdict as an answer: what fails or is open with its figures, and the control."""
    if not judgement.ours:
        return ""
    failing = [f for f in judgement.findings if f.holds is False]
    open_ones = [f for f in judgement.findings if f.holds is None]
    doubt = f" But: {judgement.doubts[0]}" if judgement.doubts else ""
    figures = f" ({listed(list(judgement.ours)).replace(':, ', ': ')})"
    match judgement.verdict:
        case Verdict.REPRODUCED:
            return f"Yes, in every comparison{figures}.{control}"
        case Verdict.NOT_SUPPORTED:
            says = "do not say so" if failing else "leave it open" if open_ones else "say so"
            return (
                f"The figures {says}{figures}, but {'they do' if failing else 'it does'} not mean "
                f"what {'they seem' if failing else 'it seems'} to. {judgement.doubts[0]}{control}"
            )
        case Verdict.NOT_REPRODUCED:
            return f"No. {failing[0].sentence}{doubt}{control}"
        case Verdict.PARTLY:
            return f"Not altogether. {_sentences(failing)}{doubt}{control}"
        case _:
            return f"It cannot be told yet. {_sentences(open_ones)}{doubt}{control}"


def _sentences(findings: list[Finding]) -> str:
    """Return the first finding of each variant or score in words."""
    first: dict[str, str] = {}
    for finding in findings:
        first.setdefault(finding.subject, finding.sentence)
    return " ".join(first.values())
