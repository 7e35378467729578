"""Puts the report together: what the templates show, in the order in which it is read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from squeezed.data import open_dataset
from squeezed.data.dataset import Dataset
from squeezed.foundation.errors import UserError
from squeezed.reporting import paper
from squeezed.reporting.claims.catalogue import JudgedClaim, judge_all
from squeezed.reporting.claims.verdict import Verdict
from squeezed.reporting.collection import Experiment, missing_in_words
from squeezed.reporting.contents import TableBlock, figures_of, tables_of
from squeezed.reporting.figure_overview import draw_overview
from squeezed.reporting.figures import FigureBlock
from squeezed.reporting.inconsistencies import Inconsistency, find_inconsistencies
from squeezed.reporting.plain_words import plain_words
from squeezed.reporting.provenance_tables import Origin, trace
from squeezed.reporting.summary import Recommendation, Warning, answer, do_not_believe, recommend
from squeezed.reporting.vocabulary import listed


@dataclass
class Section:
    """Everything about one experiment."""

    experiment: Experiment
    data_line: str
    """The data, the network and the seeds, in a line."""
    data_description: str
    """What the data set's own summary says of it; empty where there is none."""
    sentences: list[str]
    recommendation: Recommendation
    warnings: list[Warning]
    plain_words: list[tuple[str, str]]
    """Questions about robustness and explainability, with their answers."""
    overview: list[str]
    tables: list[TableBlock]
    figures: list[FigureBlock]
    claims: list[JudgedClaim]


@dataclass
class Document:
    """The whole report."""

    sections: list[Section]
    inconsistencies: list[Inconsistency]
    origin: Origin
    missing: list[str]
    configuration: str
    """The configuration of the experiments, as YAML; empty where it is not known."""
    paper_title: str = paper.TITLE
    paper_authors: str = paper.AUTHORS

    @property
    def claims(self) -> list[list[JudgedClaim]]:
        """The judged claims, those of one claim together."""
        return [list(group) for group in zip(*(s.claims for s in self.sections), strict=True)]

    @property
    def tally(self) -> dict[Verdict, int]:
        """How often each verdict was reached; those never reached are left out."""
        reached = [judged.judgement.verdict for s in self.sections for judged in s.claims]
        return {verdict: reached.count(verdict) for verdict in Verdict if verdict in reached}

    @property
    def claims_frame(self) -> pd.DataFrame:
        """The claims with their verdicts, one row for each claim and experiment."""
        return pd.DataFrame(
            [
                {
                    "claim": judged.claim.key,
                    "experiment": judged.experiment,
                    "verdict": judged.judgement.verdict.value,
                    "sentence": judged.claim.sentence,
                    "where": judged.claim.where,
                    "paper": "; ".join(judged.paper),
                    "ours": "; ".join(judged.judgement.ours),
                    "reason": judged.judgement.reason,
                    "needs": judged.judgement.needs,
                }
                for section in self.sections
                for judged in section.claims
            ]
        )

    @property
    def results_frame(self) -> pd.DataFrame:
        """Every number of every result, one row for each."""
        return pd.concat([s.experiment.metrics() for s in self.sections], ignore_index=True)


def compose(experiments: Sequence[Experiment], settings: Mapping[str, Any], data: Path) -> Document:
    """Compute everything that the report shows.

    Args:
        experiments: the collected results.
        settings: the experiments' sections of the configuration, by name.
        data: the folder of the prepared data sets.
    """
    return Document(
        sections=[_section(experiment, data) for experiment in experiments],
        inconsistencies=find_inconsistencies(),
        origin=trace(experiments),
        missing=missing_in_words(experiments),
        configuration=yaml.safe_dump(dict(settings), sort_keys=False) if settings else "",
    )


def _section(experiment: Experiment, data: Path) -> Section:
    claims = judge_all(experiment)
    summary = _summary(data / f"{experiment.dataset}.json")
    return Section(
        experiment=experiment,
        data_line=_data_line(experiment, summary),
        data_description=str(summary.get("description", "")),
        sentences=answer(experiment),
        recommendation=recommend(experiment),
        warnings=do_not_believe(experiment, claims),
        plain_words=plain_words(experiment),
        overview=draw_overview(experiment),
        tables=tables_of(experiment),
        figures=figures_of(experiment, _open(data / f"{experiment.dataset}.safetensors")),
        claims=claims,
    )


def _summary(path: Path) -> dict[str, Any]:
    """Read what the preparation wrote of a data set; nothing where it did not."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _data_line(experiment: Experiment, summary: Mapping[str, Any]) -> str:
    n = summary.get("n_test") or experiment.any_value("evaluation", "n_images")
    counts = [f"{summary[f'n_{split}']:,} {split}" for split in ("train", "validation") if summary]
    counts += [f"{int(n):,} test images"] if n else []
    architecture = experiment.settings.get("architecture", {}).get("name", "")
    seeds = experiment.seeds
    parts = [
        f"{experiment.dataset}: {listed(counts)}" if counts else experiment.dataset,
        f"network {architecture}" if architecture else "",
        f"{len(seeds)} seeds ({', '.join(map(str, seeds))})"
        if len(seeds) > 1
        else f"one seed ({seeds[0]})",
    ]
    return "; ".join(filter(None, parts))


def _open(path: Path) -> Dataset | None:
    """Open a data set; without it the pictures are left out."""
    try:
        return open_dataset(path)
    except UserError:
        return None
