"""The results of one experiment, as the report asks for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from squeezed.configuration.recipes import Recipe, recipes_of
from squeezed.foundation.results import INEXACT_FIELDS
from squeezed.reporting.blocks import MAP_METHODS

NOT_ATTACKS = ("attack_timing", "attack_variations")
TEXTS = {"class": str, "corruption": str, "from": str}
"""Columns of the CSVs that are names, whatever they look like."""


@dataclass
class Experiment:
    """The results of one experiment: one JSON record for each seed, variant and analysis."""

    name: str
    seeds: tuple[int, ...]
    variants: list[str]
    folder: Path
    timings: tuple[str, ...] = ()
    """The analyses that one job does for all variants of a seed."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The experiment's section of the configuration; empty where it is not known."""
    records: dict[tuple[int, str, str], dict[str, Any]] = field(default_factory=dict)
    missing: list[tuple[int, str, str]] = field(default_factory=list)
    """(seed, variant, analysis) that the run was to make and that is not there."""
    left_out: dict[str, str] = field(default_factory=dict)
    """The variants that the rehearsal left out, each with the reason in a sentence."""
    notes: list[str] = field(default_factory=list)
    """What else the rehearsal found that the run does without."""
    frames_read: dict[Path, pd.DataFrame | None] = field(default_factory=dict, repr=False)
    """The CSVs read so far: many figures come from one file."""
    seed_comparison: dict[str, Any] = field(default_factory=dict)
    """What is compared between seeds; empty with one seed."""

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return str(self.settings.get("dataset", self.name))

    @property
    def compressed(self) -> list[str]:
        """The variants without the baseline."""
        return [variant for variant in self.variants if variant != "baseline"]

    @property
    def recipes(self) -> dict[str, Recipe]:
        """How the variants are made; empty where the settings are not known."""
        return recipes_of(self.settings) if "variants" in self.settings else {}

    @property
    def attacks(self) -> dict[str, Mapping[str, Any]]:
        """The attacks and their settings, which are empty where they are not known."""
        found = [name for name in self.analyses("attack_") if name not in NOT_ATTACKS]
        configured = self.settings.get("attacks", {})
        return configured or {name.removeprefix("attack_"): {} for name in found}

    @property
    def strong_attack(self) -> str | None:
        """The results of the attack that robustness is judged by: the one that is diagnosed.

        Where none is, or the settings are not known, it is the one that fools the baseline most.
        """
        named = self.settings.get("diagnostics", {}).get("attack", "none")
        if named != "none":
            return f"attack_{named}"
        rates = {
            name: list(self.values("baseline", name, "success_rate").values())
            for name in (f"attack_{name}" for name in self.attacks)
        }
        tried = {name: sum(some) / len(some) for name, some in rates.items() if some}
        return max(tried, key=lambda name: tried[name], default=None)

    @property
    def map_methods(self) -> list[str]:
        """How activation maps were made, the first one first."""
        fields = {
            field
            for (_, _, name), record in self.records.items()
            if name == "cam"
            for field in record
        }
        found = [m for m in MAP_METHODS if any(field.startswith(m) for field in fields)]
        return self.settings.get("cam", {}).get("methods", found)

    def record(self, seed: int, variant: str, analysis: str) -> dict[str, Any] | None:
        """Return one result, or None."""
        return self.records.get((seed, variant, analysis))

    def values(self, variant: str, analysis: str, metric: str) -> dict[int, float]:
        """Return a metric of each seed that has it; measured fields are found by name too."""
        found = {}
        for seed in self.seeds:
            record = self.record(seed, variant, analysis) or {}
            value = record.get(metric, record.get("measured", {}).get(metric))
            if value is not None:
                found[seed] = float(value)
        return found

    def any_value(self, analysis: str, metric: str) -> Any:
        """Return the first value of a metric that any variant has, whatever its type, or None."""
        for (_, _, name), record in self.records.items():
            value = record.get(metric, record.get("measured", {}).get(metric))
            if name == analysis and value is not None:
                return value
        return None

    def analyses(self, prefix: str = "") -> list[str]:
        """Return the names of the analyses that are there, in the order of their reading."""
        names = dict.fromkeys(analysis for _, _, analysis in self.records)
        return [name for name in names if name.startswith(prefix)]

    def path(self, seed: int, variant: str, file: str) -> Path:
        """Return where a file beside the results is."""
        return self.folder / f"seed{seed}" / variant / file

    def frame(self, seed: int, variant: str, file: str) -> pd.DataFrame | None:
        """Read a CSV beside the results, or return None where it is missing or empty."""
        path = self.path(seed, variant, file)
        if path not in self.frames_read:
            try:
                self.frames_read[path] = pd.read_csv(path, converters=TEXTS)
            except (FileNotFoundError, pd.errors.EmptyDataError):
                self.frames_read[path] = None
        found = self.frames_read[path]
        return None if found is None else found.copy()

    def metrics(self) -> pd.DataFrame:
        """Return every number of every result, one row for each: tidy, for further analysis."""
        rows = [
            {
                "experiment": self.name,
                "seed": seed,
                "variant": variant,
                "analysis": analysis,
                "metric": metric,
                "value": value,
                "measured": is_measured,
            }
            for (seed, variant, analysis), record in self.records.items()
            for is_measured, part in (
                (False, {k: v for k, v in record.items() if k not in INEXACT_FIELDS}),
                (True, record.get("measured", {})),
            )
            for metric, value in part.items()
            if isinstance(value, int | float)
        ]
        columns = ["experiment", "seed", "variant", "analysis", "metric", "value", "measured"]
        return pd.DataFrame(rows, columns=columns)
