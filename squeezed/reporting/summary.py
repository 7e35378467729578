"""The answer in five sentences, which variant to ship, and what not to believe."""

from collections.abc import Sequence
from dataclasses import dataclass

from squeezed.reporting.claims.catalogue import JudgedClaim
from squeezed.reporting.claims.claim import DISTANCE_MARGIN, SHARE_MARGIN, TIME_MARGIN
from squeezed.reporting.claims.explainability import CLUSTER_SCORES, MAP_SCORES, advantage
from squeezed.reporting.claims.verdict import Verdict, exceeds, stays_within
from squeezed.reporting.collection import Experiment
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.measures import (
    PAPER_ATTACK,
    STRONG_ATTACK,
    accuracy,
    accuracy_drop,
    attack_drop,
    distance_ratio,
    negated,
    ratio_to_baseline,
    speedup,
    unreliable_reason,
)
from squeezed.reporting.vocabulary import listed, variant_name
from squeezed.reporting.wording import (
    megabytes,
    number,
    percent,
    points,
    times,
    with_interval,
    with_spread,
)

ACCEPTABLE_LOSS = 0.02
"""A variant that may lose more than two points is not recommended."""
EQUAL_SIZE = 1.02
"""Files that differ by less than 2 % count as equally large."""


@dataclass(frozen=True)
class Recommendation:
    """Which variant to ship, or None, and why."""

    variant: str | None
    reason: str


def answer(experiment: Experiment) -> list[str]:
    """Return the five sentences; one that lacks its results says so."""
    return [
        _accuracy_sentence(experiment),
        _size_sentence(experiment),
        _speed_sentence(experiment),
        _robustness_sentence(experiment),
        _explanation_sentence(experiment),
    ]


def _known(estimates: dict[str, Estimate | None]) -> dict[str, Estimate]:
    return {variant: estimate for variant, estimate in estimates.items() if estimate is not None}


def _accuracy_sentence(experiment: Experiment) -> str:
    base = accuracy(experiment, "baseline")
    drops = _known({v: accuracy_drop(experiment, v) for v in experiment.compressed})
    if base is None or not drops:
        return "Accuracy: the variants have not been evaluated against the baseline."
    worst = max(drops, key=lambda v: drops[v].value)
    best = min(drops, key=lambda v: drops[v].value)
    tail = (
        f"; {variant_name(best)} changes it by {with_interval(negated(drops[best]), points)}"
        if best != worst
        else ""
    )
    return (
        f"The uncompressed network classifies {with_spread(base, percent)} of the test images "
        f"correctly, and compression costs at most {_loss(drops[worst])} "
        f"({variant_name(worst)}){tail}."
    )


def _loss(drop: Estimate) -> str:
    return with_interval(drop, points).lstrip("+")


def _size_sentence(experiment: Experiment) -> str:
    field = "onnx_size_bytes"
    if not experiment.values("baseline", "evaluation", field):
        field = "model_size_bytes"
    ratios = _known(
        {v: ratio_to_baseline(experiment, v, "evaluation", field) for v in experiment.compressed}
    )
    base = metric(experiment, "baseline", "evaluation", field)
    if not ratios or base is None:
        return "Size: the files have not been measured."
    best = min(ratios, key=lambda v: ratios[v].value)
    idle = [variant_name(v) for v, ratio in ratios.items() if ratio.value > 1 / EQUAL_SIZE]
    tail = f"; {listed(idle)} {'is' if len(idle) == 1 else 'are'} no smaller" if idle else ""
    return (
        f"The smallest deployed file is that of {variant_name(best)}, "
        f"{times(ratios[best].value)} of the baseline's {megabytes(base.value)}{tail}."
    )


def _speed_sentence(experiment: Experiment) -> str:
    ratios = _known({v: speedup(experiment, v) for v in experiment.compressed})
    if not ratios:
        return "Speed: the variants have not been timed."
    best = max(ratios, key=lambda v: ratios[v].value)
    idle = [
        f"{variant_name(v)} ({times(ratio.value)})"
        for v, ratio in ratios.items()
        if (ratio.low if ratio.low is not None else ratio.value) < TIME_MARGIN
    ]
    tail = f"; no gain can be shown for {listed(idle)}" if idle else ""
    return f"{variant_name(best)} infers {with_interval(ratios[best], times)} as fast{tail}."


def _robustness_sentence(experiment: Experiment) -> str:
    success = _known(
        {v: metric(experiment, v, STRONG_ATTACK, "success_rate") for v in experiment.variants}
    )
    stated = attack_drop(experiment, "baseline", PAPER_ATTACK)
    if not success:
        if stated is None:
            return "Robustness: the variants have not been attacked."
        return (
            "The attack with the paper's settings changes the baseline's accuracy by "
            f"{with_interval(negated(stated), points)}; no strong attack was run."
        )
    least = min(success, key=lambda v: success[v].value)
    who = "every variant" if success[least].value >= 0.5 else variant_name(least)
    some = success[least].value
    share = "all" if some == 1 else f"at least {percent(some)}"
    ratios = _known({v: distance_ratio(experiment, v) for v in experiment.compressed})
    if not ratios:
        return f"A strong attack fools {who} on {share} of the images it had right."
    harder = [v for v, ratio in ratios.items() if exceeds(ratio, 1 + DISTANCE_MARGIN)]
    easier = [v for v, ratio in ratios.items() if stays_within(ratio, 1 - DISTANCE_MARGIN)]
    verdict = "; ".join(
        f"{listed([f'{variant_name(v)} ({times(ratios[v].value)})' for v in group])} "
        f"{'takes' if len(group) == 1 else 'take'} clearly {word} changes than the baseline"
        for group, word in ((harder, "larger"), (easier, "smaller"))
        if group
    )
    values = [ratio.value for ratio in ratios.values()]
    nothing = (
        "no variant takes clearly larger or smaller changes than the baseline "
        f"({times(min(values))} to {times(max(values))} as long)"
    )
    return (
        f"A strong attack fools {who} on {share} of the images it had right; {verdict or nothing}."
    )


def _explanation_sentence(experiment: Experiment) -> str:
    parts = []
    scores = (
        (
            CLUSTER_SCORES[0],
            "In the t-SNE maps {} of the images lie among their own class",
            percent,
        ),
        (MAP_SCORES[-1], "activation maps put {} of their weight on the object", percent),
    )
    for score, words, form in scores:
        base = metric(experiment, "baseline", score.analysis, score.metric)
        gains = _known({v: advantage(experiment, v, score) for v in experiment.compressed})
        if base is None or not gains:
            continue
        most = max(gains, key=lambda v: abs(gains[v].value))
        parts.append(
            f"{words.format(form(base.value))} for the baseline; the largest change is "
            f"{with_interval(gains[most], points)} ({variant_name(most)})"
        )
    if not parts:
        return "Explainability: no embeddings or activation maps have been compared."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def recommend(experiment: Experiment) -> Recommendation:
    """Return which variant to ship.

    Among the variants that surely lose at most two points of accuracy and are not slower: the one
    with the smallest deployed file; of files equally large within 2 %, the more accurate one; of
    those that cannot be told from it, the one that changes the fewest predictions.
    """
    sizes = _known(
        {
            v: ratio_to_baseline(experiment, v, "evaluation", "onnx_size_bytes")
            or ratio_to_baseline(experiment, v, "evaluation", "model_size_bytes")
            for v in experiment.compressed
        }
    )
    drops = _known({v: accuracy_drop(experiment, v) for v in experiment.compressed})
    known = [v for v in experiment.compressed if v in sizes and v in drops]
    if not known:
        return Recommendation(None, "Nothing has been measured that would tell.")
    fit = [
        v
        for v in known
        if _upper(drops[v]) <= ACCEPTABLE_LOSS and sizes[v].value < 1 and not _slower(experiment, v)
    ]
    if not fit:
        return Recommendation(
            None,
            "No variant is smaller, not slower, and surely within "
            f"{number(0)(100 * ACCEPTABLE_LOSS)} points of the baseline: keep the baseline, or "
            "measure with more images or seeds.",
        )
    smallest = min(sizes[v].value for v in fit)
    alike = [v for v in fit if sizes[v].value <= EQUAL_SIZE * smallest]
    most_accurate = min(alike, key=lambda v: drops[v].value)
    alike = [v for v in alike if drops[v].value <= _upper(drops[most_accurate])]
    flips = _known({v: metric(experiment, v, "evaluation", "flipped_share") for v in alike})
    best = min(flips, key=lambda v: flips[v].value) if flips else most_accurate
    speed = speedup(experiment, best)
    faster = f", {with_interval(speed, times)} the speed" if speed else ""
    flipped = (
        f"; {percent(flips[best].value)} of its predictions are not the baseline's" if flips else ""
    )
    return Recommendation(
        best,
        f"{times(sizes[best].value)} the file{faster}, accuracy "
        f"{with_interval(negated(drops[best]), points)}{flipped}.",
    )


def _upper(estimate: Estimate) -> float:
    return estimate.value if estimate.high is None else estimate.high


def _slower(experiment: Experiment, variant: str) -> bool:
    ratio = speedup(experiment, variant)
    return ratio is not None and _upper(ratio) < 1


@dataclass(frozen=True)
class Warning:
    """Something that a reader should not take home: what, and why."""

    what: str
    why: str


def do_not_believe(experiment: Experiment, claims: Sequence[JudgedClaim]) -> list[Warning]:
    """Return what a reader should not take home, the weightiest first."""
    warnings = []
    # What is undecided counts where it is doubtful whatever the figure will be.
    for verdict in (Verdict.NOT_SUPPORTED, Verdict.UNDECIDED, Verdict.NOT_REPRODUCED):
        for judged in claims:
            judgement = judged.judgement
            if judgement.verdict is verdict and (
                judgement.doubts or verdict is not Verdict.UNDECIDED
            ):
                because = judgement.doubts or [finding.sentence for finding in judgement.findings]
                warnings.append(Warning(judged.claim.sentence, because[0]))
    unreliable = [variant_name(v) for v in experiment.variants if unreliable_reason(experiment, v)]
    if unreliable:
        warnings.append(
            Warning(
                f"Robustness figures of {listed(unreliable)}.", "The gate marks them unreliable."
            )
        )
    if len(experiment.seeds) == 1:
        warnings.append(
            Warning(
                f"Differences under {number(0)(100 * SHARE_MARGIN)} point.",
                "With one seed the intervals are over images: they do not show how much another "
                "training run would differ.",
            )
        )
    return warnings
