"""The card beside a graph: Hugging Face's form, and the report's own figures."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from squeezed.reporting.document import Document
from squeezed.reporting.model_card import card_of, write_cards
from tests.report.conftest import TEMPLATES

HUGGING_FACE_TASKS = {"image-classification"}
FIELDS = {"license", "library_name", "pipeline_tag", "tags", "metrics", "model-index"}
"""Of https://github.com/huggingface/hub-docs/blob/main/modelcard.md, those that the cards have."""


@pytest.fixture(scope="module")
def cards(compiled: tuple[Document, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    write_cards(compiled[0], TEMPLATES, folder)
    return folder


def split(path: Path) -> tuple[dict[str, Any], str]:
    """Return a card's YAML and its Markdown."""
    before, front, text = path.read_text(encoding="utf-8").split("---\n", 2)
    assert before == ""
    return yaml.safe_load(front), text


def test_there_is_one_beside_each_graph(compiled: tuple[Document, Path], cards: Path) -> None:
    expected = {
        Path(s.experiment.name, f"seed{seed}", f"{variant}.md")
        for s in compiled[0].sections
        for seed in s.experiment.seeds
        for variant in s.experiment.variants
    }
    assert {path.relative_to(cards) for path in cards.rglob("*.md")} == expected
    assert len(expected) == 6 + 3 * 6


def test_the_fields_are_those_that_the_hub_documents(
    compiled: tuple[Document, Path], cards: Path
) -> None:
    experiment = compiled[0].sections[1].experiment
    for seed in experiment.seeds:
        fields, _ = split(cards / experiment.name / f"seed{seed}" / "pruned.md")
        assert fields.keys() == FIELDS
        assert fields["pipeline_tag"] in HUGGING_FACE_TASKS
        (index,) = fields["model-index"]
        (result,) = index["results"]
        assert result["task"]["type"] == "image-classification"
        assert result["dataset"].keys() >= {"type", "name"}
        (figure,) = result["metrics"]
        record = experiment.record(seed, "pruned", "evaluation")
        assert record and figure["type"] == "accuracy"
        assert figure["value"] == record["top1_accuracy"]


def test_the_hubs_own_library_reads_them(cards: Path) -> None:
    hub = pytest.importorskip(
        "huggingface_hub", reason="uv pip install -r requirements-peers.txt brings huggingface-hub"
    )
    for path in cards.rglob("*.md"):
        data = hub.ModelCard.load(path).data
        (result,) = data.eval_results  # it raises where the index is not as the hub wants it
        assert result.metric_type == "accuracy" and 0 < result.metric_value <= 1
        assert data.library_name == "onnx" and data.pipeline_tag == "image-classification"


def test_the_figures_are_the_reports(compiled: tuple[Document, Path], cards: Path) -> None:
    """What the card speaks of is written there as in the report."""
    page = (compiled[1] / "report.md").read_text(encoding="utf-8")
    _, text = split(cards / "digits" / "seed0" / "pruned.md")
    for what in ("Accuracy", "Predictions changed", "Change that fools it, times as long"):
        (line,) = [one for one in text.splitlines() if one.startswith(f"| {what} |")]
        figure = line.split("|")[2].split("[")[0].strip()
        assert figure in page, what


def test_a_robustness_that_the_gate_refuses_is_not_called_measured(
    compiled: tuple[Document, Path],
) -> None:
    section = compiled[0].sections[0]
    refused = [
        v
        for v in section.experiment.variants
        if not all(section.experiment.values(v, "diagnostics", "reliable").values())
    ]
    for variant in section.experiment.variants:
        verdict = card_of(section, 0, variant).verdict
        assert verdict.startswith("Unreliable") == (variant in refused), variant


def test_the_baseline_is_not_held_against_itself(cards: Path) -> None:
    _, text = split(cards / "digits" / "seed0" / "baseline.md")
    assert "baseline's" not in text and "Predictions changed" not in text


def test_a_card_of_several_seeds_says_whose_file_it_is(cards: Path) -> None:
    _, text = split(cards / "cifar10" / "seed2" / "quantized.md")
    assert "The file is that of seed 2; figures are over 3 seeds." in text
