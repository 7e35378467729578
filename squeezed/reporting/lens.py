"""What looks at results with a question of its own, such as whether a study's claims hold.

The report knows this protocol alone; whoever compiles it hands in the lenses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from squeezed.reporting.blocks import Block
from squeezed.reporting.experiment import Experiment


@dataclass(frozen=True)
class Printed:
    """A figure printed elsewhere, in our units and as it is printed."""

    value: float
    text: str


@dataclass(frozen=True)
class Warning:
    """Something that a reader should not take home: what, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class LensSection:
    """A section that a lens adds to the page."""

    key: str
    title: str
    content: Any
    """What its templates, `_{key}.html.j2` and `_{key}.md.j2`, show."""
    is_folded: bool = False
    """Whether the page has it among all that is folded."""


class Lens(Protocol):
    """What a lens adds to the report. Where an experiment is not its subject, nothing."""

    name: str
    """What stands before the figures that it prints, and ends their columns' names."""
    class_words: Mapping[str, str]
    """Words for classes that a data set only has identifiers of."""

    def subtitle(self, experiments: Sequence[Experiment]) -> str:
        """Return what stands above the page's title."""

    def printed(
        self, experiment: Experiment, analysis: str, metric: str, variant: str
    ) -> Printed | None:
        """Return the figure to print beside ours, or None."""

    def remark(self, experiment: Experiment, block: str) -> str:
        """Return what to add to a block's caption."""

    def questions(self, experiment: Experiment) -> list[tuple[str, str]]:
        """Return questions with their answers."""

    def warnings(self, experiment: Experiment) -> list[Warning]:
        """Return what a reader should not take home, the weightiest first."""

    def sections(self, experiments: Sequence[Experiment]) -> list[LensSection]:
        """Return the sections that it adds to the page."""

    def files(self, experiment: Experiment) -> list[tuple[Block, pd.DataFrame]]:
        """Return the tables that it writes beside the report's own."""
