"""All claims, and their judgement for each experiment."""

from dataclasses import dataclass

from squeezed.paper import explainability, performance, robustness
from squeezed.paper.claim import Claim
from squeezed.paper.study import Study
from squeezed.paper.verdict import Judgement, Verdict

CLAIMS: list[Claim] = [*performance.CLAIMS, *robustness.CLAIMS, *explainability.CLAIMS]

CARRIED = {
    Verdict.REPRODUCED: "carries over",
    Verdict.PARTLY: "carries over in part",
    Verdict.NOT_REPRODUCED: "does not carry over",
    Verdict.NOT_SUPPORTED: "not supported",
    Verdict.UNDECIDED: "undecided",
}
"""A verdict on data that the paper does not have: nothing of it is reproduced there."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its judgement for one experiment, and the paper's figure beside it."""

    claim: Claim
    experiment: str
    paper: list[str]
    judgement: Judgement
    is_papers_data: bool = True
    """Whether it is judged on data that the paper says it of."""

    @property
    def verdict_words(self) -> str:
        """The verdict; on other data than the paper's, whether the claim carries over to them."""
        verdict = self.judgement.verdict
        return verdict.value if self.is_papers_data else CARRIED[verdict]


def judge_all(study: Study) -> list[JudgedClaim]:
    """Judge every claim for one experiment."""
    return [
        JudgedClaim(
            claim,
            study.name,
            claim.paper(study.paper_dataset),
            claim.rule(study),
            claim.is_said_of(study.paper_dataset),
        )
        for claim in CLAIMS
    ]
