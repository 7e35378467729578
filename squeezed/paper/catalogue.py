"""All claims, and their judgement for each experiment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from squeezed.paper import explainability, performance, robustness
from squeezed.paper.claim import Claim
from squeezed.paper.study import Study
from squeezed.paper.verdict import Judgement, Verdict
from squeezed.reporting.margins import ROUNDING
from squeezed.statistics.comparisons import LEVEL, holm

CLAIMS: list[Claim] = [*performance.CLAIMS, *robustness.CLAIMS, *explainability.CLAIMS]

CARRIED = {
    Verdict.REPRODUCED: "carries over",
    Verdict.PARTLY: "carries over in part",
    Verdict.NOT_REPRODUCED: "does not carry over",
    Verdict.NOT_SUPPORTED: "not supported",
    Verdict.UNDECIDED: "undecided",
}
"""A verdict on data that the paper does not have: nothing of it is reproduced there."""

MORE = "more seeds or test images, or more repeats of what is timed"
"""What tells from chance what only seems to be decided."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its judgement for one experiment, and the paper's figure beside it."""

    claim: Claim
    experiment: str
    paper: list[str]
    judgement: Judgement
    is_papers_data: bool = True
    """Whether it is judged on data that the paper says it of."""
    p_value: float | None = None
    """Holm's, over the claims of the experiment; None where chance has no part in it."""
    chance: str = ""
    """Where the number of claims leaves the verdict open: a sentence that says so."""

    @property
    def verdict_words(self) -> str:
        """The verdict; on other data than the paper's, whether the claim carries over to them."""
        verdict = self.judgement.verdict
        return verdict.value if self.is_papers_data else CARRIED[verdict]


def judge_all(study: Study) -> list[JudgedClaim]:
    """Judge every claim for one experiment, with regard to how many there are."""
    return corrected(
        [
            JudgedClaim(
                claim,
                study.name,
                claim.paper(study.paper_dataset),
                claim.rule(study),
                claim.is_said_of(study.paper_dataset),
            )
            for claim in CLAIMS
        ]
    )


def corrected(judged: Sequence[JudgedClaim]) -> list[JudgedClaim]:
    """Leave undecided what chance might decide somewhere among so many claims (Holm).

    The family is every claim in which chance has a part, those that are open included: which of
    them are decided is chance, too.

    Args:
        judged: the claims of one experiment, each judged alone.
    """
    family = [one for one in judged if one.judgement.p_value > 0]
    together = iter(holm(np.array([one.judgement.p_value for one in family])))
    return [
        _with_chance(one, float(next(together)), len(family)) if one.judgement.p_value > 0 else one
        for one in judged
    ]


def _with_chance(one: JudgedClaim, p_value: float, n: int) -> JudgedClaim:
    alone = one.judgement
    if alone.verdict is Verdict.UNDECIDED or p_value <= LEVEL + ROUNDING:
        return replace(one, p_value=p_value)
    chance = (
        f"Each comparison by itself, the verdict would be “{one.verdict_words}”; with "
        f"{n} {'claim' if n == 1 else 'claims'} judged together (Holm) chance is not excluded "
        f"(p = {p_value:.3g})."
    )
    reason = f"{chance} {alone.reason}"
    judgement = replace(alone, verdict=Verdict.UNDECIDED, reason=reason, needs=MORE)
    return replace(one, judgement=judgement, p_value=p_value, chance=chance)
