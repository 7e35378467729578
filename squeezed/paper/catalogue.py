"""All claims, and their judgement for each experiment."""

from dataclasses import dataclass

from squeezed.reporting import paper
from squeezed.reporting.claims import explainability, performance, robustness
from squeezed.reporting.claims.claim import Claim
from squeezed.reporting.claims.verdict import Judgement
from squeezed.reporting.collection import Experiment

CLAIMS: list[Claim] = [*performance.CLAIMS, *robustness.CLAIMS, *explainability.CLAIMS]


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its judgement for one experiment, and the paper's figure beside it."""

    claim: Claim
    experiment: str
    paper: list[str]
    judgement: Judgement


def judge_all(experiment: Experiment) -> list[JudgedClaim]:
    """Judge every claim for one experiment."""
    dataset = paper.dataset_of(experiment.name, experiment.dataset)
    return [
        JudgedClaim(claim, experiment.name, claim.paper(dataset), claim.rule(experiment))
        for claim in CLAIMS
    ]
