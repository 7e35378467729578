"""Puts the report together: what the templates show, in the order in which it is read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from squeezed.reporting.effort import left_open
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_tradeoff import draw_front
from squeezed.reporting.lens import Lens, LensSection, Warning
from squeezed.reporting.measures import accuracy
from squeezed.reporting.provenance_tables import Origin, trace
from squeezed.reporting.ship_card import ShipCard, ship_card
from squeezed.reporting.summary import answer, changed_sentence, do_not_believe
from squeezed.reporting.vocabulary import describe, listed


@dataclass
class Section:
    """Everything about one experiment."""

    experiment: Experiment
    title: str
    """What the page calls the experiment."""
    data_line: str
    """The data, the network and the seeds, in a line."""
    data_description: str
    """What the experiment, and the data set's own summary, say of themselves."""
    descriptions: dict[str, str]
    """Of each variant, from its recipe; empty where it is not known."""
    colours: dict[str, Colour]
    sentences: list[str]
    changed: str
    """A sentence on the changed predictions."""
    accuracy_basis: str
    """What the intervals of the accuracy are over."""
    ship: ShipCard
    warnings: list[Warning]
    open_questions: list[str]
    """What the effort leaves open, in sentences."""
    questions: list[tuple[str, str]]
    """What the lenses ask, with the answers."""
    front: str | None
    """The first picture: accuracy against size or speed."""
    blocks: list[Filled]
    lens_files: list[tuple[Block, pd.DataFrame]]
    """What the lenses write."""
    preprocessing: Mapping[str, Any]
    """What becomes of a picture first, as the data set says; empty where it is not known."""

    def block(self, key: str) -> Filled | None:
        """Return a block by its key, if it is filled."""
        return next((one for one in self.blocks if one.block.key == key), None)

    def on_screen(self, screen: str) -> list[Filled]:
        """Return the blocks that a screen of the page shows; `` for those that are folded."""
        return [one for one in self.blocks if one.block.screen == screen]


@dataclass
class Document:
    """The whole report."""

    sections: list[Section]
    subtitles: list[str]
    """What the lenses put above the title."""
    lens_sections: list[LensSection]
    origin: Origin
    missing: list[str]
    failed: list[str]
    """Of a run that stopped: a line for each job that failed, with its log."""
    configuration: str
    """The configuration that makes this report, as YAML; empty where it is not known."""

    @property
    def title(self) -> str:
        """What the page is about."""
        return f"What compression did to {listed([s.title for s in self.sections])}"

    @property
    def results_frame(self) -> pd.DataFrame:
        """Every number of every result, one row for each."""
        return pd.concat([s.experiment.metrics() for s in self.sections], ignore_index=True)


def compose(
    experiments: Sequence[Experiment],
    settings: Mapping[str, Any],
    data: Path,
    lenses: Sequence[Lens] = (),
    configuration: Mapping[str, Any] | None = None,
    failed: Sequence[str] = (),
) -> Document:
    """Compute everything that the report shows.

    Args:
        experiments: the collected results.
        settings: the experiments' sections of the configuration, by name.
        data: the folder of the prepared data sets.
        lenses: what looks at the results with a question of its own.
        configuration: what to write into `config.yaml` to get this report, where it is known.
        failed: a line for each job that failed.
    """
    return Document(
        sections=[_section(experiment, data, lenses) for experiment in experiments],
        subtitles=list(filter(None, [lens.subtitle(experiments) for lens in lenses])),
        lens_sections=[section for lens in lenses for section in lens.sections(experiments)],
        origin=trace(experiments),
        missing=missing_in_words(experiments),
        failed=list(failed),
        configuration=yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True)
        if configuration
        else "",
    )


def _section(experiment: Experiment, data: Path, lenses: Sequence[Lens]) -> Section:
    summary = _summary(data / f"{experiment.dataset}.json")
    dataset = _open(data / f"{experiment.dataset}.safetensors")
    open_questions = left_open(experiment, summary.get("n_test"))
    experiment = replace(experiment, notes=[*experiment.notes, *open_questions])
    words = {k: v for lens in lenses for k, v in lens.class_words.items()}
    names = dataset.class_names if dataset else ()
    classes = [words.get(name, name.replace("_", " ")) for name in names]
    return Section(
        experiment=experiment,
        title=str(experiment.settings.get("title") or experiment.name),
        data_line=_data_line(experiment, summary),
        data_description=" ".join(
            str(part["description"])
            for part in (experiment.settings, summary)
            if part.get("description")
        ),
        descriptions={v: describe(experiment.recipes, v) for v in experiment.variants},
        colours=colours_of(experiment),
        sentences=answer(experiment),
        changed=changed_sentence(experiment),
        accuracy_basis=next(
            (e.basis for v in experiment.variants if (e := accuracy(experiment, v))), ""
        ),
        ship=ship_card(experiment, summary, words),
        warnings=do_not_believe(experiment, lenses),
        open_questions=open_questions,
        questions=[pair for lens in lenses for pair in lens.questions(experiment)],
        front=draw_front(experiment),
        blocks=fill(Sources(experiment, dataset, classes, lenses)),
        lens_files=[file for lens in lenses for file in lens.files(experiment)],
        preprocessing=summary.get("preprocessing") or {},
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
    effort = experiment.settings.get("effort")
    seeds = experiment.seeds
    parts = [
        f"{experiment.dataset}: {listed(counts)}" if counts else experiment.dataset,
        f"network {architecture}" if architecture else "",
        f"{len(seeds)} seeds ({', '.join(map(str, seeds))})"
        if len(seeds) > 1
        else f"one seed ({seeds[0]})",
        f"effort {effort}" if effort else "",
    ]
    return "; ".join(filter(None, parts))


def _open(path: Path) -> Dataset | None:
    """Open a data set; without it the pictures are left out."""
    try:
        return open_dataset(path)
    except UserError:
        return None
