"""`python -m squeezed.check`: exit status, sentences, files for CI; and how often it is wrong."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from squeezed.check import main
from squeezed.comparison.comparison import Comparison
from squeezed.comparison.image_by_image import Answers
from squeezed.comparison.tables import summary_table
from squeezed.comparison.thresholds import Thresholds, Verdict, judge, worst
from tests.comparison.test_compare import folder_of
from tests.foreign.models import classifier, saved

TRIALS = 400


def simulated(random, n, broken, fixed, other=0.0):
    """A comparison of `n` images whose predictions change by chance, at these rates."""
    kinds = random.choice(4, size=n, p=[1 - broken - fixed - other, broken, fixed, other])
    labels = np.zeros(n, np.int64)
    before = np.where(kinds >= 2, 1, 0)
    after = np.select([kinds == 1, kinds == 2, kinds == 3], [1, 0, 2], before)
    sure = np.ones(n)
    answers = Answers(labels, before, after, sure < 0, sure < 0, sure, sure, np.zeros(n))
    nothing = pd.DataFrame([{"size_bytes": 1}, {"size_bytes": 1}])
    return Comparison(
        summary_table(answers), None, nothing, nothing, nothing, nothing, None, [], answers, None
    )


def exits(thresholds, trials=TRIALS, n=2000, **rates):
    random = np.random.default_rng(0)
    found = [worst(judge(simulated(random, n, **rates), thresholds)) for _ in range(trials)]
    return {verdict: found.count(verdict) / trials for verdict in Verdict}


def test_a_partner_that_loses_nothing_is_seldom_refused():
    found = exits(Thresholds(maximum_drop=0), broken=0.025, fixed=0.025)
    assert found[Verdict.BEYOND] <= 0.05
    assert found[Verdict.UNDECIDED] > 0.9


def test_a_partner_that_loses_three_points_is_refused():
    """8 % flips; a quarter of them from wrong to wrong, as between the ResNet-8 of MLPerf Tiny."""
    found = exits(Thresholds(maximum_drop=0.01), broken=0.045, fixed=0.015, other=0.02)
    assert found[Verdict.BEYOND] >= 0.95


def test_a_partner_well_within_passes():
    found = exits(Thresholds(maximum_drop=0.02), trials=100, broken=0.01, fixed=0.01)
    assert found[Verdict.WITHIN] >= 0.95


def words(pair, folder, *more):
    return [
        "--original",
        str(pair[0]),
        "--compressed",
        str(pair[1]),
        "--images",
        str(folder),
        *more,
    ]


def test_it_exits_with_0_within(pair, tmp_path, capsys):
    folder, _ = folder_of(tmp_path, [(10, 12)])
    assert main(words(pair, folder, "--maximum-flips", "1")) == 0
    assert capsys.readouterr().out.startswith("within: The share of changed predictions is")


def test_it_exits_with_1_beyond_and_writes_for_ci(tmp_path, capsys):
    folder, _ = folder_of(tmp_path, [(10, 12)])
    two = saved(classifier(), tmp_path), saved(classifier(seed=9), tmp_path, "other.onnx")
    junit, markdown = tmp_path / "out/junit.xml", tmp_path / "out/summary.md"
    status = main(
        words(two, folder, "--maximum-flips", "0.01", "--maximum-size-ratio", "2",
              "--junit", str(junit), "--markdown", str(markdown))
    )  # fmt: skip
    assert status == 1
    out = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in out] == ["beyond", "within"]
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert suite.find("testcase[@name='maximum_flips']/failure").get("message") == out[0][8:]
    text = markdown.read_text()
    assert text.startswith("### other.onnx")
    assert re.search(r"^- ❌ The share of changed predictions", text, re.M)


def test_it_exits_with_3_undecided(pair, tmp_path, capsys):
    folder, _ = folder_of(tmp_path, [(10, 12)])
    assert main(words(pair, folder, "--maximum-drop", "0.01")) == 3
    assert "too few images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "no threshold is given"),
        (["--maximum-flips", "0.1", "--mean", "1,2"], "mean has 2 numbers"),
        (["--maximum-flips", "0.1", "--labels", "nowhere.csv"], "nowhere.csv cannot be read"),
    ],
)
def test_it_exits_with_2_on_bad_input(pair, tmp_path, capsys, more, sentence):
    folder, _ = folder_of(tmp_path, [(10, 12)])
    assert main(words(pair, folder, *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and sentence in error
    assert len(error.strip().splitlines()) == 1


def test_a_threshold_that_is_no_share_is_bad_input(pair, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words(pair, tmp_path, "--maximum-drop", "5"))
    assert stopped.value.code == 2


def test_accuracy_needs_labels(pair, tmp_path, capsys):
    folder, _ = folder_of(tmp_path, [(10, 12)])
    for k, file in enumerate(sorted(folder.rglob("*.png"))):
        file.rename(folder / f"{k}.png")
    assert main(words(pair, folder, "--maximum-drop", "0.1")) == 2
    assert "maximum_drop needs labels" in capsys.readouterr().err
