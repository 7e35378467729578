"""The report as a rule of the workflow: made from results, bundled by `snakemake --report`."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests import PROJECT as ROOT
from tests.report.browser import Browser
from tests.report.made_up import VARIANTS, paper_like

SNAKEFILE = """
include: "rules/before.smk"
configfile: "config.yaml"
include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/view.smk"
ANALYSES["evaluate"] = lambda experiment, variant: ["evaluation.json"]
TIMINGS["time_inference"] = lambda experiment: ["inference_timing.json"]
ANALYSES["attack"] = lambda experiment, variant: ["attack_paper.json", "attack_strong.json"]
include: "rules/report.smk"
rule break_an_analysis:
    output:
        "results/{experiment}/seed0/ablated/evaluation.json",
    log:
        "logs/{experiment}/broken.log",
    shell:
        "false > {log} 2>&1"
"""
# What the real workflow does at its end.
SNAKEFILE += (ROOT / "Snakefile").read_text().partition("\nonsuccess:")[2].join(["onsuccess:", ""])

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the report's rule alone and made-up results as its sources."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("rules", "scripts", "squeezed", "reports", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("generated"))
    for name in ("config.yaml", "config.schema.yaml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / "Snakefile").write_text(SNAKEFILE)
    paper_like().write(folder / "results", variants=VARIANTS)
    found = {"left_out": {}, "notes": []}
    (folder / "results/digits/rehearsal.json").write_text(json.dumps(found))
    (folder / "data").mkdir()
    (folder / "data" / "digits.safetensors").touch()
    # The workflow refuses results without Snakemake's records; these are sources here.
    (folder / ".snakemake" / "incomplete").mkdir(parents=True)
    (folder / ".snakemake" / "incomplete" / "sources").touch()
    return folder


def snakemake(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in the project."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["snakemake", "--cores", "1", *arguments],
        cwd=project,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_report_is_made_bundled_and_opened(
    project: Path, browser: Browser, tmp_path: Path
) -> None:
    made = snakemake(project, "compile_report")
    assert made.returncode == 0, made.stderr
    assert (project / "reports/generated/report.html").stat().st_size > 50_000
    bundled = snakemake(project, "compile_report", "--report", "report.zip")
    assert bundled.returncode == 0, bundled.stderr
    with zipfile.ZipFile(project / "report.zip") as archive:
        archive.extractall(tmp_path)
    page = next(tmp_path.rglob("report.html"))
    browser.resize(1440, 900)
    browser.open(page)
    browser.screenshot(tmp_path / "report.png")
    text = browser.evaluate("document.body.innerText")
    for words in ("Report", "Figures", "Tables", "squeeze it?"):
        assert words in text
    assert browser.problems() == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in browser.requests())


def test_every_file_of_the_report_is_an_output(project: Path) -> None:
    """Else a file that was deleted would not be made again."""
    made = snakemake(project, "compile_report")
    assert made.returncode == 0, made.stderr
    listed = snakemake(project, "compile_report", "--summary")
    outputs = {line.partition("\t")[0] for line in listed.stdout.splitlines()}
    folder = project / "reports/generated"
    files = {p.relative_to(project).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert "reports/generated/tables/results.csv" in files
    assert files <= outputs


def test_the_report_says_how_to_redo_this_very_report(project: Path) -> None:
    """Its configuration, put in the place of config.yaml, leaves nothing to do."""
    made = snakemake(project, "compile_report")
    assert made.returncode == 0, made.stderr
    written = (project / "config.yaml").read_text()
    own = (project / "reports/generated/configuration.yaml").read_text()
    assert set(yaml.safe_load(own)["experiments"]) == {"digits"}, "of what was run, and no more"
    (project / "config.yaml").write_text(own)
    planned = snakemake(project, "compile_report", "--dry-run")
    (project / "config.yaml").write_text(written)
    assert "Nothing to be done" in planned.stdout + planned.stderr


@pytest.mark.parametrize("quiet", [(), ("--quiet", "rules", "progress"), ("--quiet", "all")])
def test_a_failed_analysis_leaves_a_report_that_says_so(
    project: Path, quiet: tuple[str, ...]
) -> None:
    lost = project / "results/digits/seed0/ablated/evaluation.json"
    kept = lost.read_bytes()
    lost.unlink()
    shutil.rmtree(project / "reports/generated", ignore_errors=True)
    failed = snakemake(project, "compile_report", *quiet)
    lost.write_bytes(kept)
    assert failed.returncode != 0
    assert "the reason is in logs/digits/broken.log (run again" in failed.stderr
    assert "reports/partial/report.html" in failed.stderr
    text = (project / "reports/partial/report.md").read_text()
    assert "This run is not complete" in text
    assert "broken failed for digits; the reason is in logs/digits/broken.log" in text
    assert "no evaluation of ablated" in text
