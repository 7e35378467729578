"""The card of a graph: what a person who finds the file alone needs to know of it.

In the form of Hugging Face's model cards (https://huggingface.co/docs/hub/model-cards): YAML
between dashes, which holds the accuracy for machines, and then the report's figures for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from squeezed.reporting.document import Document, Section
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.harms import broken_share, corruption_change, fixed_share
from squeezed.reporting.measures import accuracy, accuracy_drop, distance_ratio, negated, speedup
from squeezed.reporting.measures import unreliable_reason as reason_of_gate
from squeezed.reporting.recommendation import flips
from squeezed.reporting.render import environment, write_text
from squeezed.reporting.ship_card import limits_of, snippet_of
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import (
    Format,
    interval,
    megabytes,
    milliseconds,
    percent,
    plain,
    points,
    times,
    with_interval,
)

EVALUATION, GATE, TIMING = "evaluation", "diagnostics", "inference_timing"


@dataclass(frozen=True)
class Row:
    """A figure of the card."""

    what: str
    figure: str
    """With its interval of 95 %."""
    over: str
    """What the interval is over, with its n; empty where there is none."""


@dataclass(frozen=True)
class ModelCard:
    """Everything on a card but the way it is laid out."""

    metadata: Mapping[str, Any]
    """The card's YAML: Hugging Face's fields."""
    title: str
    description: str
    """How the graph was made, in words; empty where the recipe is not known."""
    data: str
    """The data, the network and the seeds, in a line."""
    file: str
    sha256: str
    """Of the file as it was evaluated; empty where it was not recorded."""
    rows: tuple[Row, ...]
    verdict: str
    """Of the gate, in a sentence: whether the figures of robustness can be believed."""
    machine: str
    """What the times were measured on; empty where it is not known."""
    limits: tuple[str, ...]
    snippet: str
    """Python that runs the file on an image, with ONNX Runtime alone."""

    @property
    def front(self) -> str:
        """The YAML between the dashes."""
        return yaml.safe_dump(dict(self.metadata), sort_keys=False, allow_unicode=True)


def write_cards(document: Document, templates: Path, folder: Path) -> None:
    """Write `{folder}/{experiment}/seed{seed}/{variant}.md`, beside each graph.

    Args:
        document: the report, whose figures the cards show.
        templates: the folder of the templates.
        folder: where the graphs are.
    """
    template = environment(templates).get_template("model_card.md.j2")
    for section in document.sections:
        experiment = section.experiment
        for seed in experiment.seeds:
            for variant in experiment.variants:
                path = folder / experiment.name / f"seed{seed}" / f"{variant}.md"
                write_text(path, template.render(card=card_of(section, seed, variant)))


def card_of(section: Section, seed: int, variant: str) -> ModelCard:
    """Return the card of one graph; what was not measured is left out, and said in the limits."""
    experiment = section.experiment
    record = experiment.record(seed, variant, EVALUATION) or {}
    provenance = record.get("provenance") or {}
    rows = [
        Row(what, with_interval(estimate, form), estimate.basis if interval(estimate, form) else "")
        for what, estimate, form in _figures(experiment, variant)
        if estimate is not None
    ]
    return ModelCard(
        metadata=_metadata(experiment, seed, variant),
        title=f"{in_words(variant)}: {section.title}",
        description=section.descriptions.get(variant, ""),
        data=section.data_line,
        file=f"{variant}.onnx",
        sha256=str((provenance.get("inputs_sha256") or {}).get("graph", "")),
        rows=tuple(rows),
        verdict=_verdict(experiment, variant),
        machine=str((provenance.get("machine") or {}).get("processor", "")),
        limits=tuple(limits_of(experiment, variant, seed)),
        snippet=snippet_of(f"{variant}.onnx", section.preprocessing),
    )


def _figures(experiment: Experiment, variant: str) -> list[tuple[str, Estimate | None, Format]]:
    def of(analysis: str | None, name: str) -> Estimate | None:
        return metric(experiment, variant, analysis, name) if analysis else None

    against = (
        [
            (
                "Accuracy against the baseline's",
                negated(accuracy_drop(experiment, variant)),
                points,
            ),
            ("… on corrupted images", corruption_change(experiment, variant), points),
            ("Predictions changed", flips(experiment, variant), percent),
            ("… broken", broken_share(experiment, variant), percent),
            ("… fixed", fixed_share(experiment, variant), percent),
            ("Speed, times the baseline's", speedup(experiment, variant), times),
            ("Change that fools it, times as long", distance_ratio(experiment, variant), times),
        ]
        if variant != "baseline"
        else []
    )
    return [
        ("Accuracy", accuracy(experiment, variant), percent),
        *against,
        ("File", of(EVALUATION, "onnx_size_bytes"), megabytes),
        ("One image, median", of(TIMING, "latency_p50_ms"), milliseconds),
        ("Calibration error", of(EVALUATION, "expected_calibration_error"), percent),
        ("Change that fools it, L2 median", of(experiment.strong_attack, "l2_median"), plain),
    ]


def _verdict(experiment: Experiment, variant: str) -> str:
    if not experiment.values(variant, GATE, "reliable"):
        return "Not examined: whether an attack failed or the model resists is not known."
    reason = reason_of_gate(experiment, variant)
    return f"Unreliable: {reason}" if reason else "The gate found no sign that the attack failed."


def _metadata(experiment: Experiment, seed: int, variant: str) -> dict[str, Any]:
    """Return the card's fields for machines; the accuracy is that of this very file."""
    found = {
        "license": "unknown",
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["onnx", "model-compression", "squeezed"],
        "metrics": ["accuracy"],
    }
    right = experiment.values(variant, EVALUATION, "top1_accuracy").get(seed)
    if right is None:
        return found
    return found | {
        "model-index": [
            {
                "name": f"{experiment.name}-{variant}-seed{seed}",
                "results": [
                    {
                        "task": {"type": "image-classification", "name": "Image Classification"},
                        "dataset": {
                            "type": experiment.dataset,
                            "name": experiment.dataset,
                            "split": "test",
                        },
                        "metrics": [{"type": "accuracy", "name": "Accuracy", "value": right}],
                    }
                ],
            }
        ]
    }
