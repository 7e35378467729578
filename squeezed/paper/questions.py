"""What the attacks and the explanations come to, in plain words: questions with their answers."""

from squeezed.reporting import paper
from squeezed.reporting.claims.claim import DISTANCE_MARGIN, SHARE_MARGIN
from squeezed.reporting.claims.explainability import (
    METHOD,
    judge_localisation,
    judge_none_worse,
    judge_quantized_best,
)
from squeezed.reporting.claims.verdict import (
    Finding,
    Judgement,
    Verdict,
    exceeds,
    stays_within,
)
from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import metric
from squeezed.reporting.measures import (
    PAPER_ATTACK,
    STRONG_ATTACK,
    attack_drop,
    distance_ratio,
    nearest_learning_rate,
    negated,
    unreliable_reason,
)
from squeezed.reporting.vocabulary import listed
from squeezed.reporting.wording import grey_levels, percent, plain, points, times, with_interval

NEAR = 0.1
"""A success rate that differs from the paper's by more than this is not near it."""


def plain_words(experiment: Experiment) -> list[tuple[str, str]]:
    """Return (question, answer) pairs; a question without data is left out."""
    pairs = [
        ("Does quantization protect?", _protects(experiment, "quantized")),
        ("Does pruning protect?", _protects(experiment, "pruned")),
        ("Do the paper's settings give its figures?", _stated_settings(experiment)),
        (
            "Do compressed models cluster as well?",
            _verdict(judge_none_worse(experiment), _pixels(experiment)),
        ),
        (
            "Are the quantized model's clusters the most distinct?",
            _verdict(judge_quantized_best(experiment), _pixels(experiment)),
        ),
        (
            "Is localisation preserved, and even enhanced?",
            _verdict(judge_localisation(experiment), _random_map(experiment)),
        ),
    ]
    return [(question, answer) for question, answer in pairs if answer]


def _protects(experiment: Experiment, variant: str) -> str:
    success = metric(experiment, variant, STRONG_ATTACK, "success_rate")
    ratio = distance_ratio(experiment, variant)
    if success is None or ratio is None:
        return ""
    if unreliable_reason(experiment, variant):
        return f"It cannot be told: {unreliable_reason(experiment, variant)}"
    fooled = f"the strong attack fools {percent(success.value)} of the images that it had right"
    length = f"with changes {with_interval(ratio, times)} as long as for the baseline"
    if exceeds(ratio, 1 + DISTANCE_MARGIN):
        return f"A little: {fooled}, but {length}."
    if stays_within(ratio, 1 + DISTANCE_MARGIN):
        return f"No: {fooled}, {length}."
    return f"It cannot be told from so little: {fooled}, {length}."


def _stated_settings(experiment: Experiment) -> str:
    drop = attack_drop(experiment, "baseline")
    moved = metric(experiment, "baseline", PAPER_ATTACK, "max_abs_change")
    if drop is None or moved is None:
        return ""
    levels = grey_levels(moved.value).removesuffix("/255")
    begins = "No" if stays_within(drop, 0.1) else "Partly"
    harmless = " That is nothing." if stays_within(drop, SHARE_MARGIN) else ""
    return (
        f"{begins}: the baseline's accuracy changes by {with_interval(negated(drop), points)} "
        f"(paper: −33.8 points).{harmless} No pixel moves by more than {levels} of 255 grey "
        "levels, and rounding to whole levels erases what is below half a level."
        f"{_other_settings(experiment)}"
    )


def _other_settings(experiment: Experiment) -> str:
    """Return which learning rate would give about the paper's figure, if any that was tried."""
    printed = paper.TABLE_TWO["cifar10"]["baseline"]
    success = 1 - printed.accuracy_after / printed.accuracy_before
    nearest = nearest_learning_rate(experiment, "baseline", success)
    if nearest is None:
        return ""
    rate, fooled = nearest
    if abs(fooled - success) > NEAR:
        return ""
    return (
        f" Of the learning rates tried, {rate:g} comes nearest to the paper's figure: it fools "
        f"{percent(fooled)} of what was right (paper: {percent(success)})."
    )


def _pixels(experiment: Experiment) -> str:
    """Return the control of the clusters: neighbours among the pixels, without any network."""
    pixels = metric(experiment, "baseline", "embedding", "pixels_knn_accuracy")
    ours = metric(experiment, "baseline", "embedding", "knn_accuracy")
    if pixels is None or ours is None:
        return ""
    return (
        f" Control: neighbours among the pixels themselves are right for {percent(pixels.value)}, "
        f"among the baseline's features for {with_interval(ours, percent)}."
    )


def _random_map(experiment: Experiment) -> str:
    """Return the control of the maps: the insertion score of a random one."""
    random = metric(experiment, "baseline", "cam", "random_insertion_auc")
    ours = metric(experiment, "baseline", "cam", f"{METHOD}_insertion_auc")
    if random is None or ours is None:
        return ""
    return (
        f" Control: by insertion a random map scores {plain(random.value)}, the baseline's "
        f"{with_interval(ours, plain)}."
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
            return (
                f"The figures say so{figures}, but it does not mean what it seems to. "
                f"{judgement.doubts[0]}{control}"
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
