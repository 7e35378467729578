"""How a verdict is reached: findings that hold, fail or are open, and what follows from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from squeezed.reporting.estimates import Estimate

MOST_SEEDS = 100
"""Nobody trains more often than that to decide a claim."""


class Verdict(Enum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    PARTLY = "partly reproduced"
    NOT_REPRODUCED = "not reproduced"
    NOT_SUPPORTED = "reproduced but not supported"
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


def what_it_takes(estimate: Estimate | None, threshold: float, missing: str) -> Need:
    """Return what would decide a comparison that is open.

    The interval shrinks with the square root of the sample: to clear the threshold from where the
    figure is now it takes (half-width / distance)² as many images (or seeds).

    Args:
        estimate: the figure, or None where it is missing.
        threshold: what it is compared with.
        missing: what to do where the figure is missing.
    """
    if estimate is None or estimate.half_width is None:
        return Need(missing)
    distance = abs(estimate.value - threshold)
    if not math.isfinite(estimate.half_width) or distance < 1e-3 * estimate.half_width:
        return Need("more seeds: the figure lies on the threshold")
    factor = (estimate.half_width / distance) ** 2
    unit = next((name for name in ("seeds", "images") if name in estimate.basis), None)
    if unit is None or not estimate.n:
        return Need("more seeds or a quieter machine")
    count = math.ceil(estimate.n * max(factor, 1.0))
    if unit == "seeds":
        # Student's factor also shrinks with more seeds, so this errs on the safe side.
        count = max(count, estimate.n + 1)
        if count > MOST_SEEDS:
            words = f"more than {MOST_SEEDS} seeds: there is hardly a difference to find"
            return Need(words, unit, count)
        return Need(f"about {count:,} seeds instead of {estimate.n}", unit, count)
    count = _rounded(count)
    words = f"about {count:,} test images instead of {estimate.n:,}, or several seeds"
    return Need(words, unit, count)


def _rounded(count: int) -> int:
    step = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / step) * step


def verdict_of(findings: Sequence[Finding], doubts: Sequence[str] = ()) -> Verdict:
    """Return the verdict that follows from the findings of a claim.

    | findings | verdict |
    |---|---|
    | all hold | reproduced, or reproduced but not supported where there is a doubt |
    | all fail | not reproduced |
    | some hold and some fail, whatever is open | partly reproduced |
    | otherwise (something is open) | undecided |
    """
    states = {finding.holds for finding in findings}
    if True in states and False in states:
        return Verdict.PARTLY
    if states == {True}:
        return Verdict.NOT_SUPPORTED if doubts else Verdict.REPRODUCED
    if states == {False}:
        return Verdict.NOT_REPRODUCED
    return Verdict.UNDECIDED


def judge(
    findings: Sequence[Finding], ours: Sequence[str], doubts: Sequence[str] = ()
) -> Judgement:
    """Judge a claim from its findings; the reason names what decided it."""
    verdict = verdict_of(findings, doubts)
    decisive = {
        Verdict.REPRODUCED: [f.sentence for f in findings],
        Verdict.NOT_SUPPORTED: list(doubts),
        Verdict.NOT_REPRODUCED: [f.sentence for f in findings],
        Verdict.PARTLY: [f.sentence for f in findings if f.holds is not None],
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
    )


def _hardest(needs: Sequence[Need]) -> list[str]:
    """Return the needs in words; of several counts of one unit the largest decides the others."""
    kept: dict[str, Need] = {}
    for need in needs:
        key = need.unit or need.words
        if key not in kept or need.count > kept[key].count:
            kept[key] = need
    return [need.words for need in kept.values()]
