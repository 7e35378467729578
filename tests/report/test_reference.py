"""The committed reference reports: whole, made by committed code, and silent about the machine."""

import re

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from squeezed.configuration.completion import complete_configuration, load_schema
from squeezed.paper.catalogue import CLAIMS
from tests import PROJECT

REFERENCE = PROJECT / "reports" / "reference"
RUNS = sorted(path.stem for path in REFERENCE.glob("*.yaml"))


def test_there_are_reference_runs() -> None:
    assert RUNS == ["cifar10", "imagenet10", "svhn"]


@pytest.mark.parametrize("run", RUNS)
def test_the_configuration_is_valid(run: str) -> None:
    shipped = yaml.safe_load((PROJECT / "config.yaml").read_text())
    own = yaml.safe_load((REFERENCE / f"{run}.yaml").read_text())
    update_config(shipped, own)  # as `snakemake --configfile` does
    complete_configuration(shipped, load_schema(PROJECT / "config.schema.yaml"))


@pytest.mark.parametrize("run", RUNS)
def test_the_report_is_whole(run: str) -> None:
    page = (REFERENCE / run / "report.html").read_text()
    assert len(page) < 5e6
    assert "This run is not complete" not in page
    (path,) = (REFERENCE / run / "tables").rglob("claims.csv")
    claims = pd.read_csv(path)
    known = [claim.key for claim in CLAIMS]
    # One claim when these were made: its text and its table are judged apart since.
    split = known.index("ablated_size_text")
    known[split : split + 2] = ["ablated_size"]
    assert list(claims["claim"]) == known
    drawn = {path.stem for path in (REFERENCE / run / "figures" / run).glob("*.svg")}
    assert drawn >= {"adversarial", "cam_guided_backprop", "cam_grad_cam", "robustness", "tsne"}


@pytest.mark.parametrize("run", RUNS)
def test_the_report_says_which_committed_code_made_it(run: str) -> None:
    text = (REFERENCE / run / "report.md").read_text()
    assert re.search(r"^- Commits?: [0-9a-f]{12}", text, re.MULTILINE)
    assert "-dirty" not in text


@pytest.mark.parametrize("run", RUNS)
def test_no_path_of_a_machine_is_in_it(run: str) -> None:
    for path in (REFERENCE / run).rglob("*"):
        if path.is_file():
            assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users)/", path.read_text()), path
