"""Collects the result files of a run, and knows which of those that it was to make are missing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from squeezed.configuration.recipes import Recipe, recipes_of
from squeezed.foundation.errors import UserError
from squeezed.foundation.results import INEXACT_FIELDS, read_result
from squeezed.reporting.blocks import MAP_METHODS

NOT_ATTACKS = ("attack_timing", "attack_variations")


@dataclass(frozen=True)
class Expectation:
    """What a run was to make for one experiment."""

    seeds: tuple[int, ...]
    analyses: Mapping[str, tuple[str, ...]]
    """For each variant the names of its result files, without `.json`."""
    timings: tuple[str, ...] = ()
    """The names of the results in which all variants of a seed are timed, without `.json`."""


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

        Where the settings are not known it is the one that fools the baseline most.
        """
        named = self.settings.get("diagnostics", {}).get("attack")
        if named is not None:
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
        try:
            return pd.read_csv(path)
        except (FileNotFoundError, pd.errors.EmptyDataError):
            return None

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


def parse_expectations(text: str) -> dict[str, Expectation]:
    """Parse what a run was to make: `{experiment: {"seeds": […], "analyses": {variant: […]}}}`.

    Raises:
        UserError: if the text does not have this form.
    """
    try:
        return {
            name: Expectation(
                tuple(int(seed) for seed in part["seeds"]),
                {variant: tuple(names) for variant, names in part["analyses"].items()},
                tuple(part.get("timings", ())),
            )
            for name, part in json.loads(text).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "--expected must be JSON such as "
            '\'{"digits": {"seeds": [0], "analyses": {"baseline": ["evaluation"]}}}\''
            f" ({error!r})"
        ) from error


def collect(
    root: Path,
    expected: Mapping[str, Expectation] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Experiment]:
    """Read the results under `root`.

    Args:
        root: the folder that holds `{experiment}/seed{seed}/{variant}/{analysis}.json`, and
            `{experiment}/seed{seed}/{timing}.json`, whose times become a record of each variant.
        expected: what the run was to make; what is missing of it is noted. Default: whatever is
            there counts as all.
        settings: the experiments' sections of the configuration, by name.

    Raises:
        UserError: if there is nothing to report on, or a result file cannot be read.
    """
    expected = expected if expected is not None else _found(root)
    experiments = []
    for name, expectation in expected.items():
        section = dict((settings or {}).get(name, {}))
        rehearsal = _read_record(root / name / "rehearsal.json") or {}
        experiment = Experiment(
            name=name,
            seeds=expectation.seeds,
            variants=_in_order(list(expectation.analyses), section.get("variants", {})),
            folder=root / name,
            timings=expectation.timings,
            settings=section,
            left_out=rehearsal.get("left_out", {}),
            notes=rehearsal.get("notes", []),
        )
        for seed in expectation.seeds:
            for variant in experiment.variants:
                for analysis in expectation.analyses[variant]:
                    _read(experiment, seed, variant, analysis)
            for timing in expectation.timings:
                _read_timing(experiment, seed, timing)
        experiments.append(experiment)
    if not any(experiment.records for experiment in experiments):
        raise UserError(f"there is no result under {root}: run `snakemake --cores all` first")
    return experiments


def _in_order(variants: Sequence[str], recipes: Iterable[str]) -> list[str]:
    """Return the variants as they are configured, the baseline first."""
    order = list(dict.fromkeys(["baseline", *recipes, *variants]))
    return [name for name in order if name in variants]


def _read(experiment: Experiment, seed: int, variant: str, analysis: str) -> None:
    record = _read_record(experiment.path(seed, variant, f"{analysis}.json"))
    if record is None:
        experiment.missing.append((seed, variant, analysis))
    else:
        experiment.records[seed, variant, analysis] = record


def _read_timing(experiment: Experiment, seed: int, timing: str) -> None:
    """Read the times of all variants of a seed, and make them a record of each."""
    record = _read_record(experiment.folder / f"seed{seed}" / f"{timing}.json") or {}
    times = record.get("measured", {}).get("variants", {})
    for variant in experiment.variants:
        if variant in times:
            experiment.records[seed, variant, timing] = {**record, "measured": times[variant]}
        else:
            experiment.missing.append((seed, variant, timing))


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        return read_result(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(
            f"{path} is not a result file ({error}); delete it and run again"
        ) from error


def _found(root: Path) -> dict[str, Expectation]:
    seeds: dict[str, set[int]] = {}
    analyses: dict[str, dict[str, list[str]]] = {}
    for path in sorted(root.glob("*/seed*/*/*.json")):
        experiment, seed, variant = path.relative_to(root).parts[:3]
        if not seed.removeprefix("seed").isdigit():
            continue
        seeds.setdefault(experiment, set()).add(int(seed.removeprefix("seed")))
        names = analyses.setdefault(experiment, {}).setdefault(variant, [])
        if path.stem not in names:
            names.append(path.stem)
    return {
        name: Expectation(
            tuple(sorted(seeds[name])),
            {variant: tuple(names) for variant, names in analyses[name].items()},
            tuple(sorted({path.stem for path in root.glob(f"{name}/seed*/*.json")})),
        )
        for name in analyses
    }


def missing_in_words(experiments: Iterable[Experiment]) -> list[str]:
    """Return a sentence for each experiment of which something is missing."""
    sentences = []
    for experiment in experiments:
        if not experiment.missing:
            continue
        by_analysis: dict[str, dict[str, list[int]]] = {}
        for seed, variant, analysis in experiment.missing:
            by_analysis.setdefault(analysis, {}).setdefault(variant, []).append(seed)
        parts = []
        for analysis, variants in by_analysis.items():
            whose = ", ".join(
                variant
                if tuple(seeds) == experiment.seeds
                else f"{variant} (seed {', '.join(map(str, seeds))})"
                for variant, seeds in variants.items()
            )
            parts.append(f"{analysis} of {whose}")
        sentences.append(f"{experiment.name}: no {'; no '.join(parts)}.")
    return sentences
