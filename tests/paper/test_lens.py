"""The paper as a lens: found by recipes, silent where they are not the paper's."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from squeezed.paper.catalogue import judge_all
from squeezed.paper.lens import LENS
from squeezed.paper.roles import blocks_of, protocol_of, roles_of
from squeezed.paper.study import study_of
from squeezed.reporting.collection import collect
from squeezed.reporting.document import compose
from squeezed.reporting.files import write_report
from tests import PROJECT
from tests.report.conftest import TEMPLATES
from tests.report.made_up import (
    ATTACKS,
    OWN_RECIPES,
    RECIPES,
    VARIANTS,
    MadeUp,
    paper_like,
    settings_of,
)

OURS = ("linear_quantized",)
PAPERS = {name: recipe for name, recipe in RECIPES.items() if name not in OURS}
FURTHER = RECIPES | {"pruned_80": RECIPES["pruned"] | {"amount": 0.8}}


def verdicts(folder: Path, recipes: dict[str, dict[str, Any]], made_up: MadeUp) -> dict[str, Any]:
    """Write results of these variants and return the claims' verdicts and figures."""
    made_up.write(folder, variants=tuple(recipes))
    (experiment,) = collect(folder, None, {"digits": settings_of("digits", recipes)})
    study = study_of(experiment)
    assert study is not None
    return {
        judged.claim.key: (judged.judgement.verdict, tuple(judged.judgement.ours))
        for judged in judge_all(study)
    }


def test_what_the_paper_has_not_changes_no_verdict(tmp_path: Path) -> None:
    made_up = paper_like()
    # Losses that would turn the claims of accuracy, speed and clusters.
    for name in ("pruned_80", "linear_quantized"):
        made_up.accuracy[name] = 0.5
        made_up.speedup[name] = (0.5, 0.4, 0.6)
        made_up.map_knn[name] = (0.2, 0.004)
        made_up.reliable[name] = False
        made_up.arrangement_moves[name] = 0.0
    alone = verdicts(tmp_path / "alone", PAPERS, made_up)
    assert verdicts(tmp_path / "further", FURTHER, made_up) == alone


def test_roles_are_found_by_recipe_whatever_the_names() -> None:
    names = {name: f"x{place}" for place, name in enumerate(RECIPES) if name != "baseline"}
    renamed = {
        names.get(name, name): recipe | {"parent": names.get(recipe["parent"], recipe["parent"])}
        for name, recipe in RECIPES.items()
    }
    assert roles_of({"variants": renamed}) == {"baseline": "baseline"} | names


@pytest.mark.parametrize(("dataset", "share"), [("digits", 20), ("svhn", 40), ("cifar10", 20)])
def test_of_a_sweep_the_papers_share_is_the_papers(dataset: str, share: int) -> None:
    sweep = {
        f"cut_{amount}": RECIPES["pruned"] | {"amount": amount / 100} for amount in (80, 40, 20, 60)
    }
    settings = {"dataset": dataset, "variants": {"baseline": RECIPES["baseline"]} | sweep}
    assert roles_of(settings)["pruned"] == f"cut_{share}"


@pytest.mark.parametrize(
    ("role", "changed"),
    [
        ("pruned", {"remove": True}),
        ("pruned", {"granularity": "synapse"}),
        ("pruned", {"ranking": "global"}),
        ("quantized", {"granularity": "channel"}),
        ("quantized", {"layers": "linear"}),
        ("quantized", {"scheme": "dynamic"}),
        ("ablated", {"parent": "pruned"}),
    ],
)
def test_another_recipe_has_no_role(role: str, changed: dict[str, Any]) -> None:
    recipes = RECIPES | {role: RECIPES[role] | changed}
    assert role not in roles_of({"variants": recipes})


def test_the_protocol_is_found_by_its_settings() -> None:
    attacks = {"mine": ATTACKS["strong"], "theirs": ATTACKS["paper"]}
    assert protocol_of(attacks) == "attack_theirs"
    assert protocol_of(attacks, straight_through=False) is None
    assert protocol_of({"paper": ATTACKS["strong"]}) is None
    assert protocol_of({"paper": {}}) == "attack_paper", "by name where settings are not known"


def test_somebody_elses_model_hears_nothing_of_the_paper(tmp_path: Path) -> None:
    MadeUp().write(tmp_path / "results", "photos", variants=tuple(OWN_RECIPES))
    settings = settings_of("photos", OWN_RECIPES)
    settings["attacks"] = {"light": ATTACKS["paper"], "strong": ATTACKS["strong"]}
    settings["attack_timing"] = {"attack": "light"}
    for path in (tmp_path / "results").rglob("attack_paper*"):
        path.rename(path.with_name(path.name.replace("paper", "light")))
    assert blocks_of(settings) == []
    sections = {"photos": settings}
    experiments = collect(tmp_path / "results", None, sections)
    write_report(compose(experiments, sections, tmp_path, [LENS]), TEMPLATES, tmp_path / "out")
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "Thin" in text and "Attack “light”" in text
        assert "channels removed: 50 %" in text
        for word in ("paper", "Zee", "Table II", 'id="claims"', "pruned", "quantized"):
            assert word.lower() not in text.lower(), word
    assert not list((tmp_path / "out").rglob("claims*"))


def test_own_images_with_the_default_recipes_are_about_the_own_images_alone(
    tmp_path: Path,
) -> None:
    paper_like().write(tmp_path / "results", "photos")
    settings = settings_of("photos") | {
        "title": "my photos",
        "description": "Of a garden.",
        "study": False,
        "attacks": {"light": ATTACKS["paper"], "strong": ATTACKS["strong"]},
        "attack_timing": {"attack": "light"},
    }
    for path in (tmp_path / "results").rglob("attack_paper*"):
        path.rename(path.with_name(path.name.replace("paper", "light")))
    assert blocks_of(settings) == [] and blocks_of(settings | {"study": True}) != []
    sections = {"photos": settings}
    experiments = collect(tmp_path / "results", None, sections)
    write_report(compose(experiments, sections, tmp_path, [LENS]), TEMPLATES, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<h1>What compression did to <em>my photos</em></h1>" in page
    assert "<title>What compression did to my photos</title>" in page and "Of a garden." in page
    for text in (page, (tmp_path / "out" / "report.md").read_text()):
        for word in ("paper", "Zee", "Table I", 'id="claims"', "A reproduction of", "carries over"):
            assert word.lower() not in text.lower(), word


def test_on_other_data_a_claim_carries_over_or_not_and_the_paper_has_no_figures(
    tmp_path: Path,
) -> None:
    paper_like().write(tmp_path)
    (experiment,) = collect(tmp_path, None, {"digits": settings_of()})
    study = study_of(experiment)
    assert study is not None
    judged = judge_all(study)
    assert {words for one in judged for words in one.paper} == set()
    words = {one.verdict_words for one in judged}
    assert words & {"carries over", "does not carry over"}
    assert not any("reproduced" in one for one in words)
    experiment.settings["dataset"] = "cifar10"
    judged = judge_all(study_of(experiment))
    repeated = [one for one in judged if one.is_papers_data]
    assert all(one.verdict_words == one.judgement.verdict.value for one in repeated)
    assert {one.claim.key for one in judged} > {one.claim.key for one in repeated} != set()
    assert any(one.paper for one in judged)


def test_what_the_workflow_asks_for_loads_no_library() -> None:
    code = (
        "import sys; import squeezed.paper.roles, squeezed.reporting.blocks; "
        "print([m for m in ('numpy', 'pandas', 'torch', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_the_report_knows_no_variant_by_name() -> None:
    names = set(VARIANTS) - {"baseline"}
    for path in (PROJECT / "squeezed" / "reporting").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant):
                assert node.value not in names, path
