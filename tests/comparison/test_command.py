"""`make compare`: its words, what it writes, and that it never overwrites."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.comparison.test_compare import folder_of
from tests.foreign.models import CLASSES, classifier, saved
from tests.foreign.test_import import run as answers_of_file

ROOT = Path(__file__).parents[2]


def run(folder, *words):
    return subprocess.run(
        [sys.executable, ROOT / "scripts/compare.py", *map(str, words)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def test_it_writes_what_was_compared_and_a_page(tmp_path):
    photos, _ = folder_of(tmp_path, [(10, 12)])
    first, second = saved(classifier(), tmp_path), saved(classifier(seed=9), tmp_path, "b.onnx")
    words = ["--original", first, "--compressed", second, "--images", photos, "--mean=0.1,0.2,0.3"]
    done = run(tmp_path, *words, "--name", "mine")
    assert done.returncode == 0, done.stderr
    described = yaml.safe_load((tmp_path / "comparisons/mine.yaml").read_text())
    assert described["mean"] == [0.1, 0.2, 0.3]
    page = (tmp_path / "comparisons/mine/report.html").read_text()
    assert "<script" not in page and "http" not in page
    changed = pd.read_csv(tmp_path / "comparisons/mine/changed.csv")
    assert page.count("<figure>") == len(changed) > 0
    assert done.stdout.splitlines()[-1] == "The report: comparisons/mine/report.html"
    before = {p: p.read_bytes() for p in (tmp_path / "comparisons").rglob("*") if p.is_file()}
    again = run(tmp_path, *words, "--name", "mine")
    assert again.returncode == 1
    assert again.stderr.startswith("error: comparisons/mine.yaml is there already")
    assert before == {p: p.read_bytes() for p in before}


def test_several_files_have_a_page_each(pair, tmp_path):
    photos, _ = folder_of(tmp_path, [(10, 12)])
    other = saved(classifier(seed=3), tmp_path, "other.onnx")
    done = run(tmp_path, "--original", pair[0], "--compressed", pair[1], other, "--images", photos)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "comparisons/int8/other/report.html").is_file()


def test_a_model_alone_has_a_page_without_a_comparison(tmp_path):
    photos, given = folder_of(tmp_path, [(10, 12)])
    model = saved(classifier(), tmp_path)
    done = run(tmp_path, "--original", model, "--images", photos)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "comparisons/model"
    assert yaml.safe_load(folder.with_suffix(".yaml").read_text())["compressed"] == []
    labels = np.arange(20) % CLASSES
    logits = answers_of_file(model.read_bytes(), given)
    wrong = logits.argmax(axis=1) != labels
    summary = pd.read_csv(folder / "summary.csv").set_index("measure")
    assert summary.loc["accuracy", "value"] == pytest.approx(1 - wrong.mean())
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert summary.loc["confidence", "value"] == pytest.approx(shares.max(axis=1).mean(), rel=1e-5)
    mistakes = pd.read_csv(folder / "mistakes.csv")
    assert sorted(mistakes["file"]) == sorted(
        f"test/{labels[k]}/{k:02d}.png" for k in np.flatnonzero(wrong)
    )
    assert mistakes["confidence"].is_monotonic_decreasing
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == len(mistakes) > 0
    assert "→" not in page and "compressed" not in page
    assert "model.onnx has 2 layers with weights" in done.stdout


@pytest.mark.parametrize(
    ("target", "script"), [("compare", "scripts/compare.py"), ("check", "-m squeezed.check")]
)
def test_make_passes_on_the_words(target, script):
    words = ["ORIGINAL=a b.onnx", "COMPRESSED=c.onnx", "IMAGES=d", "RANGE=-1,1", "SIZE=224"]
    done = subprocess.run(
        ["make", "-n", target, *words, "NAME=mine"], cwd=ROOT, capture_output=True, text=True
    )
    line = next(x for x in done.stdout.replace("\\\n", "").splitlines() if script in x)
    for word in ("--original='a b.onnx'", "--images='d'", "--range='-1,1'", "--size='224'"):
        assert word in line
    assert re.search(r"--compressed[= ]'?c\.onnx", line)


@pytest.mark.parametrize(
    ("words", "images"), [(("--effort", "quick"), 200), ((), 210), (("--limit", "50"), 50)]
)
def test_the_effort_limits_the_images_unless_a_limit_is_given(tmp_path, words, images):
    photos, _ = folder_of(tmp_path, [(10, 12)])
    for k, path in enumerate(sorted(photos.rglob("*.png"))[:19] * 10):
        shutil.copy(path, path.with_name(f"again{k}.png"))
    first, second = saved(classifier(), tmp_path), saved(classifier(seed=9), tmp_path, "b.onnx")
    asked = ["--original", first, "--compressed", second, "--images", photos, *words]
    done = run(tmp_path, *asked, "--name", "mine")
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "comparisons/mine/summary.csv")
    assert summary["n"].max() == images
