"""How a verdict is reached: findings that hold, fail or are open, and what follows from them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from squeezed.reporting.estimates import (
    IMAGES,
    SEEDS,
    TOO_FEW_IMAGES,
    TOO_FEW_REPEATS,
    Estimate,
)
from squeezed.reporting.margins import p_value
from squeezed.statistics.comparisons import bonferroni
from squeezed.statistics.planning import image_error, images_needed, seeds_needed
from squeezed.statistics.times import FEWEST_REPEATS

MOST_SEEDS = 100
"""Nobody trains more often than that to decide a claim."""


class Verdict(Enum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    PARTLY = "partly reproduced"
    NOT_REPRODUCED = "not reproduced"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Need:
    """What it would take to decide a comparison that is open."""

    words: str
    unit: str = ""
    """What more of would do, seeds or images; empty where it takes something else."""
    count: int = 0
    """How many of them."""


@dataclass(frozen=True)
class Finding:
    """One comparison that a claim rests on."""

    subject: str
    """Usually a variant."""
    holds: bool | None
    """None: open, because the data are missing or their uncertainty is too large."""
    sentence: str
    """What was found, with the figures."""
    needs: Need | None = None
    """Where it is open: what it would take to decide it."""
    p_value: float = 0.0
    """How likely chance alone makes it look so; 0 where chance has no part in it."""


@dataclass(frozen=True)
class Judgement:
    """A claim judged for one study."""

    verdict: Verdict
    reason: str
    ours: Sequence[str]
    """Our figures, a line for each variant."""
    findings: Sequence[Finding] = ()
    doubts: Sequence[str] = field(default_factory=tuple)
    """Diagnostics that show that the figure does not mean what it seems to."""
    needs: str = ""
    p_value: float = 0.0
    """How likely chance alone leads to the verdict: 1 where it is open, 0 where chance has no part
    in any of its findings."""


def compared(
    subject: str,
    rule: Callable[[Estimate | None, float], bool | None],
    estimate: Estimate | None,
    threshold: float,
    sentence: str,
    missing: str,
) -> Finding:
    """Return what comparing a figure with a threshold finds.

    Args:
        subject: usually a variant.
        rule: `exceeds` or `stays_within`.
        estimate: the figure, or None where it is missing.
        threshold: what it is compared with.
        sentence: what was found, with the figures.
        missing: what to do where the figure is missing.
    """
    return Finding(
        subject,
        rule(estimate, threshold),
        sentence,
        what_it_takes(estimate, threshold, missing),
        p_value(estimate, threshold),
    )


def what_it_takes(estimate: Estimate | None, threshold: float, missing: str) -> Need:
    """Return what would decide a comparison that is open.

    So many seeds or images would decide it four times in five, if the figure stays where it is
    (`squeezed.statistics.planning`). More seeds do not take away what the test images contribute.

    Args:
        estimate: the figure, or None where it is missing.
        threshold: what it is compared with.
        missing: what to do where the figure is missing.
    """
    if estimate is not None and estimate.basis == TOO_FEW_REPEATS:
        return Need(f"at least {FEWEST_REPEATS} repeats of the timing")
    if estimate is not None and estimate.basis == TOO_FEW_IMAGES:
        return Need("more test images, or several seeds")
    if estimate is None or estimate.half_width is None:
        return Need(missing)
    distance = abs(estimate.value - threshold)
    if not math.isfinite(estimate.half_width) or distance < 1e-3 * estimate.half_width:
        return Need("more seeds: the figure lies on the threshold")
    if not estimate.n:
        return Need("more seeds or a quieter machine")
    if estimate.spread is not None and SEEDS in estimate.basis:
        error = image_error(estimate.half_width, estimate.spread, estimate.n)
        count = seeds_needed(distance, estimate.spread, error, most=MOST_SEEDS)
        if count is None:
            with_images = " and more test images" if error else ""
            words = (
                f"more than {MOST_SEEDS} seeds{with_images}: there is hardly a difference to find"
            )
            return Need(words, SEEDS, MOST_SEEDS + 1)
        count = max(count, estimate.n + 1)
        return Need(f"about {count:,} seeds instead of {estimate.n}", SEEDS, count)
    if IMAGES in estimate.basis:
        count = _rounded(images_needed(distance, estimate.half_width, estimate.n))
        words = f"about {count:,} test images instead of {estimate.n:,}, or several seeds"
        return Need(words, IMAGES, count)
    return Need("more seeds or a quieter machine")


def _rounded(count: int) -> int:
    step = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / step) * step


def verdict_of(
    findings: Sequence[Finding], doubts: Sequence[str] = (), *, void: bool = False
) -> Verdict:
    """Return the verdict that follows from the findings of a claim.

    | findings | verdict |
    |---|---|
    | void: what is compared is not what the claim speaks of | not supported |
    | all hold | reproduced, or not supported where there is a doubt |
    | all fail | not reproduced |
    | some hold and some fail, whatever is open | partly reproduced |
    | otherwise (something is open) | undecided |
    """
    states = {finding.holds for finding in findings}
    if void and states != {None}:
        return Verdict.NOT_SUPPORTED
    if True in states and False in states:
        return Verdict.PARTLY
    if states == {True}:
        return Verdict.NOT_SUPPORTED if doubts else Verdict.REPRODUCED
    if states == {False}:
        return Verdict.NOT_REPRODUCED
    return Verdict.UNDECIDED


def claim_p_value(findings: Sequence[Finding]) -> float:
    """Return how likely chance alone leads to what the findings of a claim say together.

    All hold, or all fail: each must, so it is the largest of theirs (intersection–union, Berger
    1982). Some hold and some fail: there must be some of both, each time among all that chance has
    a part in (Bonferroni). Where something is open nothing is said, which is 1; without any
    part of chance it is 0.
    """
    by_chance = sum(finding.p_value > 0 for finding in findings)
    holding = [finding.p_value for finding in findings if finding.holds is True]
    failing = [finding.p_value for finding in findings if finding.holds is False]
    if holding and failing:
        return max(bonferroni(holding, by_chance), bonferroni(failing, by_chance))
    if by_chance and len(holding) + len(failing) < len(findings):
        return 1.0
    return max((finding.p_value for finding in findings), default=0.0)


def judge(
    findings: Sequence[Finding],
    ours: Sequence[str],
    doubts: Sequence[str] = (),
    *,
    void: float | None = None,
) -> Judgement:
    """Judge a claim from its findings; the reason names what decided it.

    Args:
        findings: the comparisons.
        ours: our figures.
        doubts: why the figures may not mean what they seem to, the weightiest first.
        void: where the first doubt leaves nothing of the comparisons, whichever way they went: its
            p-value, on which alone the verdict then rests.
    """
    verdict = verdict_of(findings, doubts, void=void is not None)
    decisive = {
        Verdict.REPRODUCED: [f.sentence for f in findings],
        Verdict.NOT_SUPPORTED: list(doubts),
        Verdict.NOT_REPRODUCED: [f.sentence for f in findings],
        Verdict.PARTLY: [*(f.sentence for f in findings if f.holds is not None), *doubts],
        Verdict.UNDECIDED: [f.sentence for f in findings if f.holds is None],
    }[verdict]
    needs = [f.needs for f in findings if f.holds is None and f.needs and f.needs.words]
    return Judgement(
        verdict=verdict,
        reason=" ".join(decisive) or "There is nothing to judge it by.",
        ours=tuple(ours),
        findings=tuple(findings),
        doubts=tuple(doubts),
        needs="; ".join(_hardest(needs)) if verdict is Verdict.UNDECIDED else "",
        p_value=claim_p_value(findings) if void is None or verdict is Verdict.UNDECIDED else void,
    )


def _hardest(needs: Sequence[Need]) -> list[str]:
    """Return the needs in words; of several counts of one unit the largest decides the others."""
    kept: dict[str, Need] = {}
    for need in needs:
        key = need.unit or need.words
        if key not in kept or need.count > kept[key].count:
            kept[key] = need
    return [need.words for need in kept.values()]
