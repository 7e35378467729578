"""All claims, and their judgement for each experiment."""

from dataclasses import dataclass

from squeezed.paper import explainability, performance, robustness
from squeezed.paper.claim import Claim
from squeezed.paper.study import Study
from squeezed.paper.verdict import Judgement

CLAIMS: list[Claim] = [*performance.CLAIMS, *robustness.CLAIMS, *explainability.CLAIMS]


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its judgement for one experiment, and the paper's figure beside it."""

    claim: Claim
    experiment: str
    paper: list[str]
    judgement: Judgement


def judge_all(study: Study) -> list[JudgedClaim]:
    """Judge every claim for one experiment."""
    return [
        JudgedClaim(claim, study.name, claim.paper(study.paper_dataset), claim.judge(study))
        for claim in CLAIMS
    ]
