"""An experiment as the paper sees it: its own variants alone, by the names of their roles."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from squeezed.paper.roles import PAPERS, dataset_of, is_study, protocol_of, roles_of
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.vocabulary import in_words


@dataclass
class Study(Experiment):
    """The results of the paper's variants; whatever else was made is left out."""

    roles: dict[str, str] = field(default_factory=dict)
    """The variant in each role."""

    def path(self, seed: int, variant: str, file: str) -> Path:
        """Return where a file of the variant in a role is."""
        return super().path(seed, self.roles.get(variant, variant), file)

    @property
    def paper_dataset(self) -> str | None:
        """The paper's data set that this is; None for digits and others."""
        return dataset_of(self.name, self.dataset)

    @property
    def protocol(self) -> str:
        """The results of the attack with the paper's settings; a name that has none without it."""
        return protocol_of(self.attacks) or "attack_paper"

    @property
    def arrangement(self) -> str:
        """The same with the gradient that PyTorch's 8-bit layers hand back."""
        return protocol_of(self.attacks, straight_through=False) or "attack_paper_arrangement"

    @property
    def renamed(self) -> str:
        """A sentence that says which variants are meant, where their names are not the roles'."""
        others = [
            f"{in_words(role)} is “{in_words(variant)}”"
            for role, variant in self.roles.items()
            if role != variant
        ]
        return f"{self.name}: {', '.join(others)}." if others else ""


def study_of(experiment: Experiment) -> Study | None:
    """Return an experiment as the paper sees it, or None where it does not repeat the study."""
    roles = roles_of(experiment.settings, tuple(experiment.variants))
    if not is_study(experiment.settings, roles):
        return None
    roles = {r: v for r, v in roles.items() if r in PAPERS and v in experiment.variants}
    role_of = {variant: role for role, variant in roles.items()}
    common: dict[str, Any] = {f.name: getattr(experiment, f.name) for f in fields(experiment)}
    common |= {
        "variants": list(roles),
        "records": {
            (seed, role_of[variant], analysis): record
            for (seed, variant, analysis), record in experiment.records.items()
            if variant in role_of
        },
    }
    return Study(**common, roles=roles)
