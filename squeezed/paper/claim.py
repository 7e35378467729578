"""What a claim of the paper is, and the margins below which a difference counts as none."""

from collections.abc import Callable
from dataclasses import dataclass

from squeezed.reporting.claims.verdict import Judgement
from squeezed.reporting.collection import Experiment

SHARE_MARGIN = 0.01
"""Accuracies that differ by less than one point count as equal."""
TIME_MARGIN = 1.02
"""Speed-ups below 2 % count as none."""
SCORE_MARGIN = 0.02
"""Silhouettes and areas under curves that differ by less than 0.02 count as equal."""
DISTANCE_MARGIN = 0.05
"""Attack distances that differ by less than 5 % count as equal."""


@dataclass(frozen=True)
class Claim:
    """A conclusion of the paper."""

    key: str
    sentence: str
    where: str
    """Where the paper draws it."""
    paper: Callable[[str | None], list[str]]
    """The paper's figures for one of its data sets (None: for the one nearest to it), by line."""
    test: str
    """The rule in words."""
    rule: Callable[[Experiment], Judgement]
