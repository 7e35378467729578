"""Questions and answers follow the same figures and margins as the verdicts."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from squeezed.paper.questions import questions_of
from squeezed.paper.study import study_of
from squeezed.reporting.collection import collect
from tests.report.made_up import MadeUp, paper_like


def answers(folder: Path, made_up: MadeUp) -> dict[str, str]:
    """Write made-up results and return the answers."""
    (experiment,) = collect(made_up.write(folder))
    return dict(questions_of(study_of(experiment)))


@pytest.mark.parametrize(
    ("length", "begins"), [(0.72, "No:"), (0.6, "No:"), (1.2, "A little:"), (0.84, "It cannot")]
)
def test_protection_is_judged_by_the_length_of_changes(
    tmp_path: Path, length: float, begins: str
) -> None:
    # The baseline's is 0.8; 0.84 lies on the margin of 5 %.
    made_up = replace(paper_like(), strong_l2={"quantized": length})
    assert answers(tmp_path, made_up)["Does quantization protect?"].startswith(begins)


def test_an_unreliable_figure_answers_nothing(tmp_path: Path) -> None:
    made_up = replace(paper_like(), reliable={"quantized": False})
    answer = answers(tmp_path, made_up)["Does quantization protect?"]
    assert answer == "It cannot be told: no gradient reaches the image"


def test_the_stated_settings(tmp_path: Path) -> None:
    question = "Do the paper's settings give its figures?"
    unhurt = answers(tmp_path / "unhurt", paper_like())[question]
    assert unhurt.startswith("No:")
    assert "0.31 of 255 grey levels" in unhurt
    hurt = answers(tmp_path / "hurt", MadeUp(paper_after={"baseline": 0.5}))[question]
    assert hurt.startswith("Partly:")


def test_the_learning_rate_that_would_give_the_papers_figure(tmp_path: Path) -> None:
    """Table II: 81.1 → 47.3 %, so 41.7 % of what was right. Only seeds that tried a rate count."""
    root = paper_like().write(tmp_path, seeds=(0, 1, 2))
    for seed, successes in ((0, (0.3, 0.5, 0.417)), (1, (0.4, 0.44, 0.417))):
        pd.DataFrame(
            {
                "variation": ["low", "high", "softmax"],
                "changes": ['{"learning_rate": 3e-4}', '{"learning_rate": 4e-4}', '{"softmax": 1}'],
                "success_rate": successes,
            }
        ).to_csv(root / f"digits/seed{seed}/baseline/attack_variations.csv", index=False)
    (experiment,) = collect(root)
    answer = dict(questions_of(study_of(experiment)))["Do the paper's settings give its figures?"]
    assert "0.0004 comes nearest to the paper's figure: it fools 47.0\u202f%" in answer
    assert "(paper: 41.7\u202f%)" in answer
    for seed in (0, 1):
        path = root / f"digits/seed{seed}/baseline/attack_variations.csv"
        pd.read_csv(path).assign(success_rate=0.0).to_csv(path, index=False)
    (experiment,) = collect(root)
    answer = dict(questions_of(study_of(experiment)))["Do the paper's settings give its figures?"]
    assert "nearest" not in answer, "no rate is near"


def test_explanations(tmp_path: Path) -> None:
    found = answers(tmp_path / "a", MadeUp(on_object={"quantized": (0.6, 0.005)}))
    cluster = found["Do compressed models cluster as well?"]
    assert cluster.startswith("Yes, in every comparison (neighbours in the map: Pruned ")
    assert "Control: neighbours among the pixels themselves" in cluster
    assert found["Are the quantized model's clusters the most distinct?"].startswith("No.")
    localised = found["Is localisation preserved, and even enhanced?"]
    assert localised.startswith("Yes") and "better than a random one by 0.200" in localised
    worse = answers(tmp_path / "b", MadeUp(map_knn={"ablated": (0.8, 0.004)}))
    answer = worse["Do compressed models cluster as well?"]
    assert answer.startswith("Not altogether. Ablated differs by −") and "Pruned" not in answer
    edge = answers(tmp_path / "c", MadeUp(edge_on_object=0.9))
    assert "an edge detector" in edge["Is localisation preserved, and even enhanced?"]


def test_questions_without_data_are_left_out(tmp_path: Path) -> None:
    (experiment,) = collect(paper_like().write(tmp_path, parts=("evaluation",)))
    assert questions_of(study_of(experiment)) == []
