"""The workflow from data to report: what a run promises, and how it refuses."""

import hashlib
import json
import re
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from tests import PROJECT
from tests.workflow.workspace import Workspace, differences

pytestmark = pytest.mark.workflow

TIMING_RULES = {"time_inference", "time_attack"}


@pytest.fixture
def untouched(tmp_path):
    """A project in which nothing was run."""
    return Workspace.create(tmp_path / "project")


def test_two_runs_give_the_same_bytes(finished, with_changed_attack):
    """Weights byte for byte, results but for times, memory and provenance.

    The two runs started from nothing and differ in one attack, which is the one that is timed, so
    all else must be the same.
    """
    found, expected = with_changed_attack.exact_contents(), finished.exact_contents()
    different = differences(found, expected)
    # None is diagnosed, so that the curve is of the one that fools most.
    of_the_attack = re.compile("attack_paper|attack_timing|robustness_curve")
    assert {name for name in different if not of_the_attack.search(name)} <= {
        name for name in found if name.startswith("reports/generated/metrics/")
    }
    assert any(name.startswith("models/") and name.endswith(".safetensors") for name in found)


def test_a_deleted_result_is_made_again_and_nothing_else(workspace, finished):
    name = "results/tiny/seed0/pruned_quantized/attack_paper.json"
    (workspace.folder / name).unlink()
    assert workspace.snakemake().jobs == {
        "tiny/seed0/pruned_quantized/attack_paper",
        "compile_report",
    }
    assert differences(workspace.exact_contents(), finished.exact_contents()) == set()


def test_what_measures_time_runs_alone(finished):
    records = [
        json.loads(path.read_text())
        for path in (finished.folder / ".snakemake/metadata").rglob("*")
        if path.is_file()
    ]
    spans = {(r["rule"], r["starttime"], r["endtime"], tuple(r["log"])) for r in records}
    jobs = {log: (rule, start, end) for rule, start, end, log in spans}
    timing = {log: job for log, job in jobs.items() if job[0] in TIMING_RULES}
    assert len(timing) == 2
    for log, (_, start, end) in timing.items():
        beside = [
            other for other, (_, s, e) in jobs.items() if other != log and s < end and start < e
        ]
        assert beside == []


def test_each_job_leaves_a_log_and_a_benchmark(finished):
    logs = finished.folder / "logs"
    assert {path.with_suffix("").with_suffix("") for path in logs.rglob("*.tsv")} == {
        path.with_suffix("") for path in logs.rglob("*.log")
    }
    assert "epoch" in (logs / "tiny/seed0/baseline/make_network.log").read_text().lower()


def test_each_graph_has_a_card_with_its_digest(finished):
    graphs = list((finished.folder / "models").rglob("*.onnx"))
    assert graphs
    for graph in graphs:
        digest = hashlib.sha256(graph.read_bytes()).hexdigest()
        assert f"SHA-256 `{digest}`" in graph.with_suffix(".md").read_text(encoding="utf-8")


def test_the_report_says_how_to_redo_this_very_report(workspace, finished):
    """Its configuration, put in the place of config.yaml, asks for the same jobs and no others."""
    own = workspace.folder / "reports/generated/configuration.yaml"
    page = (workspace.folder / "reports/generated/report.html").read_text()
    assert "run:\n- tiny" in page and "cifar10" not in own.read_text()
    (workspace.folder / "config.yaml").write_text(own.read_text())
    assert workspace.planned() == set()


def test_the_report_is_one_file(finished):
    """Nothing is loaded from beside it or from elsewhere."""
    page = (finished.folder / "reports/generated/report.html").read_text()
    assert not re.search(r'(src|href)="(?!#|data:|https?://)', page)
    assert not re.search(r'<(script|img|link|iframe)[^>]* (src|href)="https?:', page)


def test_the_plan_is_readable(untouched):
    plan = untouched.snakemake("--dry-run").output
    assert "Make the baseline network of tiny, seed 0" in plan
    assert "Compile the report" in plan


def test_the_graph_is_built_without_torch(untouched):
    program = (
        "import sys\n"
        "from snakemake.cli import main\n"
        "try: main(['--dry-run', '--quiet'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('heavy:', {'torch', 'torchvision', 'sklearn'} & sys.modules.keys())"
    )
    assert "heavy: set()" in untouched.run(sys.executable, "-c", program).output


def test_the_snakefile_is_short():
    assert len((PROJECT / "Snakefile").read_text().splitlines()) < 60


def test_the_linter_has_nothing_to_say(untouched):
    assert "good condition" in untouched.run("snakemake", "--lint").output


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("run", ["tinny"], "run names an unknown experiment 'tinny'; did you mean 'tiny'?"),
        ("experiments.tiny.trainign", {}, "unknown key 'trainign' at experiments.tiny;"),
        ("experiments.tiny.variants", {"a": {"step": "prunne"}}, "did you mean 'prune'?"),
        ("experiments.tiny.variants", ["pruned"], "variants are recipes by name now; write"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(untouched, key, value, sentence):
    untouched.configure(key, value)
    refused = untouched.snakemake("--dry-run", check=False)
    assert refused.returncode != 0
    lines = [line for line in refused.output.splitlines() if sentence in line]
    assert len(lines) == 1
    assert lines[0].startswith("error: config.yaml: ")
    assert "Traceback" not in refused.output


def test_outputs_without_records_are_refused(workspace):
    """Else a changed parameter would never be noticed again."""
    records = workspace.folder / ".snakemake"
    records.rename(workspace.folder / "aside")
    for command in (("snakemake", "--dry-run"), ("dvc", "repro", "--force")):
        refused = workspace.run(*command, check=False)
        assert refused.returncode != 0
        assert "error: " in refused.output
        assert "is there, but .snakemake/metadata" in refused.output
        assert refused.jobs == set()
    workspace.run("dvc", "checkout")
    workspace.assert_up_to_date()


@pytest.mark.parametrize("option", ["--touch", "-t", "--tou"])
def test_outputs_that_are_not_there_are_not_taken_for_good(untouched, option):
    """Records of them would have whatever comes to lie there count as made from these inputs."""
    refused = untouched.snakemake(option, check=False)
    assert refused.returncode == 1
    said = [line for line in refused.output.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and "--touch takes outputs for good that are there, but" in said[0]
    assert not list((untouched.folder / ".snakemake/metadata").rglob("*"))


def test_outputs_that_are_all_there_are_taken_for_good(workspace):
    workspace.snakemake("--touch")
    workspace.assert_up_to_date()


def test_nothing_is_trained_where_the_rehearsal_refuses(tmp_path):
    workspace = Workspace.create(tmp_path / "project")
    workspace.configure("experiments.tiny.embedding.images", 5)
    refused = workspace.snakemake(check=False)
    assert refused.returncode != 0
    assert refused.jobs == {"data/digits", "tiny/rehearse"}
    assert "embedding.images is 5" in (workspace.folder / "logs/tiny/rehearse.log").read_text()
    assert not (workspace.folder / "models/tiny/seed0/baseline.safetensors").exists()


@pytest.mark.slow
@pytest.mark.timeout(1500)  # all of a run, and another that must find nothing to do
def test_the_default_configuration(tmp_path):
    """The run of a newcomer: every rule, in bounded memory, and a network that reads digits."""
    workspace = Workspace.create(tmp_path / "project", PROJECT / "config.yaml")
    process = workspace.start("snakemake", "--cores", "2", "--quiet")
    family = psutil.Process(process.pid)
    peak = 0
    while process.poll() is None:
        used = 0
        for member in (family, *family.children(recursive=True)):
            try:
                used += member.memory_full_info().uss
            except psutil.Error:  # it ended meanwhile
                continue
        peak = max(peak, used)
        time.sleep(0.5)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert peak < 2e9

    results = workspace.folder / "results/digits/seed0"
    accuracy = json.loads((results / "baseline/evaluation.json").read_text())
    assert accuracy["n_images"] == 360
    assert accuracy["top1_accuracy"] >= 0.97
    defaults = yaml.safe_load((PROJECT / "config.schema.yaml").read_text())
    variants = defaults["$defs"]["experiment"]["properties"]["variants"]["default"]
    made = {"baseline", *variants}
    assert {path.name for path in results.iterdir() if path.is_dir()} == made
    for name in ("inference_timing", "attack_timing"):
        times = json.loads((results / f"{name}.json").read_text())["measured"]["variants"]
        assert set(times) == made
    workspace.repro()
    workspace.assert_up_to_date()


@pytest.fixture
def bare(tmp_path):
    """A folder with the Makefile alone, and a Python that is too old."""
    (tmp_path / "Makefile").write_bytes((PROJECT / "Makefile").read_bytes())
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    return tmp_path


def test_make_refuses_an_old_python(bare):
    refused = subprocess.run(
        ["make", "run", f"PYTHON={bare / 'old-python'}"],
        cwd=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "error: squeezed needs Python 3.11 or newer" in refused.stderr
    assert "Python 3.8.2" in refused.stderr
    assert not (bare / ".venv").exists()


def test_make_explains_itself(bare):
    said = subprocess.run(["make"], cwd=bare, capture_output=True, text=True, check=True).stdout
    for target in ("run", "test", "lint", "setup"):
        assert re.search(rf"^  make {target} +\w", said, re.MULTILINE)
