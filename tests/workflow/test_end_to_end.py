"""The workflow from data to report, and what each rule promises."""

import pytest

from tests.workflow.workspace import Workspace, differences

pytestmark = pytest.mark.workflow


def test_two_runs_give_the_same_bytes(finished, tmp_path):
    """Weights byte for byte, results but for times, memory and provenance."""
    again = Workspace.create(tmp_path / "project")
    again.snakemake()
    found = again.exact_contents()
    assert any(name.endswith(".safetensors") for name in found)
    assert differences(found, finished.exact_contents()) == set()
