"""The first screen in words: what to ship, what not to believe, and what is missing."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from squeezed.foundation.errors import UserError
from squeezed.paper.lens import LENS
from squeezed.reporting.blocks import blocks_of
from squeezed.reporting.collection import collect, missing_in_words, parse_expectations
from squeezed.reporting.document import Document, compose
from squeezed.reporting.estimates import Estimate
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.files import write_report
from squeezed.reporting.reasons import reasons_for
from squeezed.reporting.recommendation import recommend
from squeezed.reporting.render import in_short
from squeezed.reporting.summary import answer, do_not_believe
from squeezed.reporting.table_gate import gate_table
from squeezed.reporting.wording import (
    grey_levels,
    interval,
    megabytes,
    millions,
    number,
    percent,
    points,
    seconds,
    times,
    with_interval,
    with_spread,
)
from tests import PROJECT as ROOT
from tests.report.conftest import TEMPLATES
from tests.report.made_up import VARIANTS, MadeUp, paper_like, settings_of


def results(folder: Path, made_up: MadeUp) -> Experiment:
    """Write made-up results and collect them."""
    (experiment,) = collect(made_up.write(folder), None, {"digits": settings_of()})
    return experiment


def test_the_smallest_variant_that_surely_keeps_its_accuracy_is_shipped(tmp_path: Path) -> None:
    best = recommend(results(tmp_path / "a", paper_like()))
    assert best.variant == "quantized", "as small and accurate as pruned_quantized, fewer flips"
    assert "0.25×" in best.reason
    flipping = paper_like()
    flipping.accuracy |= {"pruned_quantized": 0.974}
    flipping.flipped = {"quantized": 50, "pruned_quantized": 40}
    assert recommend(results(tmp_path / "flips", flipping)).variant == "pruned_quantized"
    inaccurate = paper_like()
    inaccurate.accuracy |= {"quantized": 0.965, "pruned_quantized": 0.99}
    best = recommend(results(tmp_path / "inaccurate", inaccurate))
    assert best.variant == "pruned_quantized", "surely more accurate, whatever it flips"
    lossy = paper_like()
    lossy.accuracy |= {"quantized": 0.90, "pruned_quantized": 0.90}
    assert recommend(results(tmp_path / "b", lossy)).variant == "linear_quantized"
    slow = paper_like()
    slow.speedup["quantized"] = (0.5, 0.4, 0.6)
    assert recommend(results(tmp_path / "c", slow)).variant == "pruned_quantized"
    unsure = replace(paper_like(), n=30)
    assert recommend(results(tmp_path / "d", unsure)).variant is None
    empty = results(tmp_path / "e", paper_like())
    empty.records.clear()
    assert recommend(empty).variant is None


def test_what_not_to_believe_begins_with_what_only_seems_so(tmp_path: Path) -> None:
    experiment = results(tmp_path, paper_like())
    warnings = do_not_believe(experiment, [LENS])
    seeming = {warning.what: warning.why for warning in warnings[:2]}
    assert "does not hurt the uncompressed baseline" in seeming["Quantization stops the attack."]
    assert any("one seed" in warning.why for warning in warnings)


def test_the_answer_is_five_sentences_with_figures(tmp_path: Path) -> None:
    sentences = answer(results(tmp_path, paper_like()))
    assert len(sentences) == 5
    for sentence in sentences:
        assert any(character.isdigit() for character in sentence)
        assert sentence.endswith(".")
    assert "97.5" in sentences[0] and "Ablated" in sentences[0]
    assert "Pruned is no smaller" in sentences[1]


@pytest.mark.parametrize("part", ["training", "evaluation", "attacks", "explanations"])
def test_any_part_alone_makes_a_report(tmp_path: Path, part: str) -> None:
    paper_like().write(tmp_path / "results", parts=(part,))
    experiments = collect(tmp_path / "results")
    write_report(compose(experiments, {}, tmp_path), TEMPLATES, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_one_variant_alone_makes_a_report(tmp_path: Path) -> None:
    paper_like().write(tmp_path / "results", variants=("baseline",))
    document = compose(collect(tmp_path / "results"), {}, tmp_path)
    write_report(document, TEMPLATES, tmp_path / "out")
    folder = tmp_path / "out"
    for name in ("report.html", "report.md"):
        assert "no recommendation" in (folder / name).read_text().lower()
    declared = [
        block for block in blocks_of({"paper": {}, "strong": {}}, []) if block.kind != "page"
    ]
    for block in declared:
        assert (folder / block.file("digits")).stat().st_size, "the rule declares them all"
        caption = (folder / block.caption_file("digits")).read_text()
        assert caption.startswith(block.caption), "the caption is the block's"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    paper_like().write(tmp_path, variants=("baseline", "pruned"), seeds=(0, 1))
    (tmp_path / "digits/seed1/pruned/cam.json").unlink()
    expected = {
        "digits": {
            "seeds": [0, 1],
            "analyses": {v: ["evaluation", "cam"] for v in ("baseline", "pruned", "quantized")},
        },
        "svhn": {"seeds": [0], "analyses": {"baseline": ["evaluation"]}},
    }
    experiments = collect(tmp_path, parse_expectations(json.dumps(expected)))
    digits, svhn = missing_in_words(experiments)
    assert "no cam of quantized, pruned (seed 1)" in digits
    assert "no evaluation of quantized" in digits
    assert svhn == "svhn: no evaluation of baseline."
    failed = ["evaluate failed for svhn; the reason is in logs/svhn/evaluate.log"]
    document = compose(experiments, {}, tmp_path, failed=failed)
    assert document.missing == [digits, svhn]
    write_report(document, TEMPLATES, tmp_path / "out")
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        assert text.index("not complete") < text.index(failed[0]) < text.index(digits)


def test_nothing_to_report_on_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no result under"):
        collect(tmp_path)
    with pytest.raises(UserError, match="--expected must be JSON"):
        parse_expectations("[]")
    (tmp_path / "digits/seed0/baseline").mkdir(parents=True)
    (tmp_path / "digits/seed0/baseline/evaluation.json").write_text("{")
    with pytest.raises(UserError, match="is not a result file"):
        collect(tmp_path)


def test_reasons_name_every_column_that_does_not_improve(tmp_path: Path) -> None:
    reasons = {r.partition(":")[0]: r for r in reasons_for(results(tmp_path, paper_like()))}
    assert "nothing to skip" in reasons["Pruned"]
    assert "a zero is stored like any other" in reasons["Pruned"]
    assert "8 bits change how a weight is stored" in reasons["Quantized"]
    assert "speed" not in reasons["Quantized"]
    assert "speed" in reasons["Linear quantized"]


def test_the_document_judges_every_claim_for_every_experiment(
    compiled: tuple[Document, Path],
) -> None:
    document, folder = compiled
    shown = document.lens_sections[0].content
    assert {len(group) for group in shown.groups} == {2}
    claims = {
        name: pd.read_csv(folder / f"tables/{name}/claims.csv").set_index("claim")
        for name in ("digits", "cifar10")
    }
    assert {len(frame) for frame in claims.values()} == {len(shown.groups)}
    assert "CIFAR-10" in claims["cifar10"].loc["accuracy", "paper"]
    assert pd.isna(claims["digits"].loc["accuracy", "paper"]), "the paper has no digits"
    assert sum(shown.tally.values()) == 2 * len(shown.groups)
    least, most = sorted(frame["p_value_holm"].count() for frame in claims.values())
    said = f"corrected for the {least} to {most} claims of each experiment in which chance has"
    assert 0 < least < most, "three seeds have the same times here, which are exact"
    assert all(said in (folder / f"report.{kind}").read_text() for kind in ("html", "md"))


def test_files_for_other_programs(compiled: tuple[Document, Path]) -> None:
    _, folder = compiled
    metrics = json.loads((folder / "metrics/cifar10/quantized.json").read_text())
    assert metrics["evaluation"]["top1_accuracy"] == pytest.approx(0.973)
    low, high = (metrics["evaluation"][f"top1_accuracy_{end}"] for end in ("low", "high"))
    assert low < 0.973 < high
    assert metrics["attack_strong"]["reliable"] is True
    shipped = {
        variant: json.loads((folder / f"metrics/cifar10/{variant}.json").read_text())["report"]
        for variant in VARIANTS
    }
    assert [v for v, said in shipped.items() if said["recommended"]] == ["quantized"]
    for name in ("training_curves", "accuracy_size", "robustness_curve"):
        assert set(pd.read_csv(folder / f"plots/{name}.csv")["experiment"]) == {"digits", "cifar10"}
    table = pd.read_csv(folder / "tables/cifar10/performance.csv").set_index("variant")
    assert table.loc["quantized", "top1_accuracy_paper"] == 0.819
    assert table.loc["baseline", "onnx_size_bytes_paper"] == 9.87e6
    tidy = pd.read_csv(folder / "tables/results.csv")
    assert set(tidy["variant"]) == set(VARIANTS)


def test_each_figure_that_is_drawn_becomes_a_file(compiled: tuple[Document, Path]) -> None:
    folder = compiled[1] / "figures/digits"
    files = list(folder.iterdir())
    assert len(files) == 9
    undrawn = [path.stem for path in files if "No results" in path.read_text()]
    assert undrawn == ["exemplars"], "which one seed does not have"


def test_a_report_of_one_experiment_with_pictures_is_small(compiled: tuple[Document, Path]) -> None:
    assert (compiled[1] / "report.html").stat().st_size < 5_000_000


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    paper_like().write(tmp_path / "results")
    pages = []
    for name in ("one", "two"):
        document = compose(collect(tmp_path / "results"), {}, tmp_path)
        write_report(document, TEMPLATES, tmp_path / name)
        pages.append((tmp_path / name / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_the_script_runs_by_hand_and_says_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "scripts/compile_report.py", "--output", tmp_path]
    run = subprocess.run(
        [*command, "--results", tmp_path / "nowhere"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.startswith("error: there is no result under")
    assert "Traceback" not in run.stderr


def test_wording() -> None:
    assert percent(0.9725).replace("\u202f", " ") == "97.2 %"
    assert points(-0.0123).replace("\u202f", " ") == "−1.2 points"
    assert points(-0.0001).replace("\u202f", " ") == "0.0 points"
    assert megabytes(2_760_000).replace("\u202f", " ") == "2.76 MB"
    assert seconds(12.345).replace("\u202f", " ") == "12.3 s"
    assert times(0.254) == "0.25×"
    assert number(0)(12345.6) == "12,346"
    exact = Estimate(0.5)
    assert with_interval(exact, percent) == percent(0.5)
    assert with_interval(None, percent) == with_spread(None, percent) == "–"
    several = Estimate(0.5, 0.4, 0.6, 0.05, "3 seeds", 3)
    assert interval(several, percent) == "[40.0,\u00a060.0]"
    assert with_spread(several, percent).replace("\u202f", " ") == "50.0 ± 5.0 %"
    precise = Estimate(2_648_000, 2_633_600, 2_662_400, 5_800, "3 seeds", 3)
    assert with_spread(precise, millions).replace("\u202f", " ") == "2.65 ± 0.01 M"
    assert interval(precise, millions) == "[2.63,\u00a02.66]"
    wide = Estimate(46 / 255, -1.25 / 255, 1000 / 255, 4.57 / 255, "3 seeds", 3)
    assert with_spread(wide, grey_levels) == "46 ± 5/255"
    assert interval(wide, grey_levels) == "[−1,\u00a01000]"
    assert interval(Estimate(0.1234, -0.0456, 12.3), times) == "[−0.05,\u00a012.3]"


def test_titles_in_short() -> None:
    assert in_short("Table I: accuracy, size and time") == "Table I"
    assert in_short("Figure 5: where they look (Grad-CAM)") == "Figure 5 (Grad-CAM)"
    assert in_short("Scores of the maps (Grad-CAM)") == "Scores of the maps (Grad-CAM)"


def test_the_gate_says_once_what_several_variants_share(tmp_path: Path) -> None:
    made_up = paper_like()
    made_up.reliable = {"quantized": False, "pruned_quantized": False}
    table = gate_table(results(tmp_path, made_up))
    assert table is not None
    assert table.notes == ["Quantized and Pruned quantized: no gradient reaches the image"]
    verdicts = {variant: cells[0].text for variant, cells in table.rows}
    assert verdicts["quantized"] == "unreliable"
    assert verdicts["pruned"] == "reliable"


def test_what_is_undecided_but_doubtful_is_warned_of(tmp_path: Path) -> None:
    few = replace(paper_like(), n=60)
    experiment = results(tmp_path, few)
    warnings = [w.what for w in do_not_believe(experiment, [LENS])]
    assert "Quantization stops the attack." in warnings
