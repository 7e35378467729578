"""What a claim of the paper is."""

from collections.abc import Callable
from dataclasses import dataclass

from squeezed.paper.study import Study
from squeezed.paper.verdict import Judgement


@dataclass(frozen=True)
class Claim:
    """A conclusion of the paper."""

    key: str
    sentence: str
    where: str
    """Where the paper draws it."""
    paper: Callable[[str | None], list[str]]
    """The paper's figures for one of its data sets, by line; nothing for others."""
    test: str
    """The rule in words."""
    rule: Callable[[Study], Judgement]
    made_on: tuple[str, ...] = ()
    """The data sets that the paper says it of, where those are not all of its three."""

    def is_said_of(self, dataset: str | None) -> bool:
        """Tell whether the paper says it of a data set: its own name of it, None for others'."""
        return dataset is not None and (not self.made_on or dataset in self.made_on)
