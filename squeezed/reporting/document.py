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
from squeezed.reporting.blocks import Block
from squeezed.reporting.collection import missing_in_words
from squeezed.reporting.colours import Colour, colours_of
from squeezed.reporting.contents import Filled, Sources, fill
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_overview import draw_overview
from squeezed.reporting.lens import Lens, LensSection, Warning
from squeezed.reporting.provenance_tables import Origin, trace
from squeezed.reporting.summary import Recommendation, answer, do_not_believe, recommend
from squeezed.reporting.vocabulary import describe, listed


@dataclass
class Section:
    """Everything about one experiment."""

    experiment: Experiment
    data_line: str
    """The data, the network and the seeds, in a line."""
    data_description: str
    """What the data set's own summary says of it; empty where there is none."""
    descriptions: dict[str, str]
    """Of each variant, from its recipe; empty where it is not known."""
    colours: dict[str, Colour]
    sentences: list[str]
    recommendation: Recommendation
    warnings: list[Warning]
    questions: list[tuple[str, str]]
    """What the lenses ask, with the answers."""
    overview: list[str]
    overview_remark: str
    """What the lenses add to its caption."""
    blocks: list[Filled]
    lens_files: list[tuple[Block, pd.DataFrame]]
    """What the lenses write."""


@dataclass
class Document:
    """The whole report."""

    sections: list[Section]
    subtitles: list[str]
    """What the lenses put above the title."""
    lens_sections: list[LensSection]
    origin: Origin
    missing: list[str]
    configuration: str
    """The configuration of the experiments, as YAML; empty where it is not known."""

    @property
    def results_frame(self) -> pd.DataFrame:
        """Every number of every result, one row for each."""
        return pd.concat([s.experiment.metrics() for s in self.sections], ignore_index=True)


def compose(
    experiments: Sequence[Experiment],
    settings: Mapping[str, Any],
    data: Path,
    lenses: Sequence[Lens] = (),
) -> Document:
    """Compute everything that the report shows.

    Args:
        experiments: the collected results.
        settings: the experiments' sections of the configuration, by name.
        data: the folder of the prepared data sets.
        lenses: what looks at the results with a question of its own.
    """
    return Document(
        sections=[_section(experiment, data, lenses) for experiment in experiments],
        subtitles=list(filter(None, [lens.subtitle(experiments) for lens in lenses])),
        lens_sections=[section for lens in lenses for section in lens.sections(experiments)],
        origin=trace(experiments),
        missing=missing_in_words(experiments),
        configuration=yaml.safe_dump(dict(settings), sort_keys=False) if settings else "",
    )


def _section(experiment: Experiment, data: Path, lenses: Sequence[Lens]) -> Section:
    summary = _summary(data / f"{experiment.dataset}.json")
    dataset = _open(data / f"{experiment.dataset}.safetensors")
    words = {k: v for lens in lenses for k, v in lens.class_words.items()}
    names = dataset.class_names if dataset else ()
    classes = [words.get(name, name.replace("_", " ")) for name in names]
    return Section(
        experiment=experiment,
        data_line=_data_line(experiment, summary),
        data_description=str(summary.get("description", "")),
        descriptions={v: describe(experiment.recipes, v) for v in experiment.variants},
        colours=colours_of(experiment),
        sentences=answer(experiment),
        recommendation=recommend(experiment),
        warnings=do_not_believe(experiment, lenses),
        questions=[pair for lens in lenses for pair in lens.questions(experiment)],
        overview=draw_overview(experiment, lenses),
        overview_remark=" ".join(lens.remark(experiment, "overview") for lens in lenses),
        blocks=fill(Sources(experiment, dataset, classes, lenses)),
        lens_files=[file for lens in lenses for file in lens.files(experiment)],
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
    architecture = (experiment.settings.get("architecture") or {}).get("name", "")
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
