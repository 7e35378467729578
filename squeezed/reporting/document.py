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
from squeezed.errors import UserError
from squeezed.reporting import paper, tables
from squeezed.reporting.claims.catalogue import JudgedClaim, judge_all
from squeezed.reporting.claims.verdict import Verdict
from squeezed.reporting.collection import Experiment, missing_in_words
from squeezed.reporting.figure_adversarial import draw_adversarial
from squeezed.reporting.figure_cam import METHOD_NAMES, cam_block
from squeezed.reporting.figure_overview import draw_overview
from squeezed.reporting.figure_robustness import draw_robustness, robustness_curves
from squeezed.reporting.figure_training import draw_training, training_curves
from squeezed.reporting.figure_tsne import tsne_block
from squeezed.reporting.figures import FigureBlock
from squeezed.reporting.inconsistencies import Inconsistency, find_inconsistencies
from squeezed.reporting.interactive_tsne import interactive_block
from squeezed.reporting.measures import STRONG_ATTACK
from squeezed.reporting.provenance_tables import Origin, trace
from squeezed.reporting.reasons import reasons_for
from squeezed.reporting.summary import Recommendation, Warning, answer, do_not_believe, recommend
from squeezed.reporting.table_attack import paper_attack_table, variations_table
from squeezed.reporting.table_cam import cam_table
from squeezed.reporting.table_gate import gate_table
from squeezed.reporting.vocabulary import listed

DRAWN = (
    "robustness",
    "adversarial",
    "tsne",
    "cam_guided_backprop",
    "cam_grad_cam",
    "training",
)
"""The figures that are line art or pictures: each also becomes an SVG file beside the report."""


@dataclass(frozen=True)
class TableBlock:
    """A table with its caption, control and reasons."""

    key: str
    title: str
    table: tables.Table
    caption: str
    notes: Sequence[str] = ()


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
        overview=draw_overview(experiment),
        tables=_tables(experiment),
        figures=_figures(experiment, _open(data / f"{experiment.dataset}.safetensors")),
        claims=claims,
    )


def _summary(path: Path) -> dict[str, Any]:
    """Read what the preparation wrote of a data set; nothing where it did not."""
    try:
        return json.loads(path.read_text())
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


def _tables(experiment: Experiment) -> list[TableBlock]:
    made = [
        (
            "table_1",
            "Table I: accuracy, size and time",
            tables.make_table("table_1", experiment, tables.TABLE_ONE),
            "Every variant exported to ONNX and run by ONNX Runtime with the same threads and "
            "batch size. Small grey figures are the paper's.",
            (),
        ),
        (
            "table_1_more",
            "Table I, continued: where compression shows, and where it does not",
            tables.make_table("table_1_more", experiment, tables.TABLE_ONE_MORE),
            "Sizes after gzip, what is left to store and to multiply, and memory. Below, each "
            "figure of Table I that a variant does not improve, with the reason.",
            reasons_for(experiment),
        ),
        (
            "gate",
            "The gate: is it robust, or only hard to differentiate?",
            gate_table(experiment),
            "Checks that every robustness figure has to pass before it is believed; below each "
            "figure, what it is held against.",
            None,
        ),
        (
            "table_2_paper",
            "Table II: the attack with the paper's settings",
            paper_attack_table("table_2_paper", experiment),
            "Carlini–Wagner L2, 40 steps of Adam at 0.5e-4, the same test images for all variants. "
            "The last rows take the gradient as PyTorch's 8-bit layers hand it back, which is what "
            "the paper's figures look like.",
            (),
        ),
        (
            "table_2_strong",
            "Table II again: an attack that has converged",
            tables.make_table("table_2_strong", experiment, tables.attack_columns(STRONG_ATTACK)),
            "The same attack with a search over its constant and enough steps that success no "
            "longer rises. Judge robustness by the length of the changes, not by the accuracy.",
            (),
        ),
        (
            "variations",
            "How much single settings of the attack matter",
            variations_table("variations", experiment),
            "The paper leaves some settings open; here each is changed alone, for one variant.",
            (),
        ),
        (
            "embedding",
            "Embeddings: scores of the features and their maps",
            tables.make_table("embedding", experiment, tables.EMBEDDING),
            "Output of the first fully connected layer, and its t-SNE map, for the same test "
            "images in all variants.",
            (),
        ),
        (
            "cam",
            "Scores of the maps (guided backpropagation)",
            cam_table("cam", experiment, "guided_backprop"),
            "The paper's method. A score means something only above the controls, which know no "
            "network; intervals are over images.",
            (),
        ),
        (
            "cam_grad_cam",
            "Scores of the maps (Grad-CAM)",
            cam_table("cam_grad_cam", experiment, "grad_cam"),
            "A second method, weighing the last convolution's channels.",
            (),
        ),
        (
            "training",
            "Training and recovery",
            tables.make_table("training", experiment, tables.TRAINING),
            "What was trained, and the epoch that validation images chose.",
            (),
        ),
    ]
    return [
        TableBlock(key, title, table, caption, table.notes if notes is None else notes)
        for key, title, table, caption, notes in made
        if table is not None
    ]


def _figures(experiment: Experiment, dataset: Dataset | None) -> list[FigureBlock]:
    made = [
        FigureBlock(
            "robustness",
            "Robust accuracy against the attacker's budget",
            draw_robustness(experiment),
            "How many images stay correctly classified when the attacker may change them by up to "
            "this L2 length (strong attack). The curves say more than any single figure: lower is "
            "easier to fool.",
            robustness_curves(experiment),
        )
    ]
    if dataset is not None:
        made += [
            FigureBlock(
                "adversarial",
                "What fools each variant",
                draw_adversarial(experiment, dataset),
                "Two test images, the nearest image that the strong attack found to fool each "
                "variant, and the difference enlarged (grey: no change). Under each picture the "
                "predicted class with its probability.",
            ),
            tsne_block(experiment, dataset.class_names),
            interactive_block(experiment, dataset),
            *(cam_block(experiment, dataset, method) for method in METHOD_NAMES),
        ]
    made.append(
        FigureBlock(
            "training",
            "Validation accuracy while training",
            draw_training(experiment),
            "Of images held out of the training images; the best epoch is kept. Pruned and ablated "
            "start from the baseline's weights.",
            training_curves(experiment),
        )
    )
    return [
        replace(block, file=f"figures/{experiment.name}/{block.key}.svg")
        if block.key in DRAWN
        else block
        for block in made
        if block.html
    ]


def _open(path: Path) -> Dataset | None:
    """Open a data set; without it the pictures are left out."""
    try:
        return open_dataset(path)
    except UserError:
        return None
