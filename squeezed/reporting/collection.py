"""Collects the result files of a run, and knows which of those that it was to make are missing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from squeezed.foundation.errors import UserError
from squeezed.foundation.results import read_result
from squeezed.reporting.experiment import Experiment

SEED_COMPARISON = "seed_comparison"


@dataclass(frozen=True)
class Expectation:
    """What a run was to make for one experiment."""

    seeds: tuple[int, ...]
    analyses: Mapping[str, tuple[str, ...]]
    """For each variant the names of its result files, without `.json`."""
    timings: tuple[str, ...] = ()
    """The names of the results in which all variants of a seed are timed, without `.json`."""
    comparisons: tuple[str, ...] = ()
    """The names of the results in which all seeds are compared, without `.json`."""


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
                tuple(part.get("comparisons", ())),
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
        root: the folder that holds `{experiment}/seed{seed}/{variant}/{analysis}.json`,
            `{experiment}/seed{seed}/{timing}.json`, whose times become a record of each variant,
            and `{experiment}/seed_comparison.json`.
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
            seed_comparison=_read_record(root / name / f"{SEED_COMPARISON}.json") or {},
        )
        for comparison in expectation.comparisons:
            if _read_record(root / name / f"{comparison}.json") is None:
                missing = [(seed, "all seeds", comparison) for seed in expectation.seeds]
                experiment.missing += missing
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
