"""Runs that the workflow's tests share: each is made once and copied for those that change it.

The runs of a changed project are made from nothing: they judge what the tests do step by step.
"""

import pytest

from tests.workflow.workspace import Workspace

CHANGED_ATTACK = ("experiments.tiny.attacks.paper.iterations", 40)


def change_pruning(workspace):
    """Make the pruning module remove the highest ranks instead of the lowest."""
    workspace.edit(
        "squeezed/steps/masks.py",
        "    magnitude = weight.abs().cpu()\n",
        "    magnitude = -weight.abs().cpu()\n",
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run, recorded by DVC and committed. Only to be read and copied."""
    workspace = Workspace.create(tmp_path_factory.mktemp("finished") / "project")
    workspace.first = workspace.snakemake()
    workspace.recording = workspace.repro()
    workspace.commit("Run")
    return workspace


@pytest.fixture(scope="session")
def with_changed_attack(tmp_path_factory):
    """A run from nothing, by DVC, of the configuration with the changed attack."""
    workspace = Workspace.create(tmp_path_factory.mktemp("attack") / "project")
    workspace.configure(*CHANGED_ATTACK)
    workspace.repro()
    return workspace


@pytest.fixture(scope="session")
def with_changed_pruning(tmp_path_factory):
    """A run from nothing of the code with the changed pruning."""
    workspace = Workspace.create(tmp_path_factory.mktemp("pruning") / "project")
    change_pruning(workspace)
    workspace.snakemake()
    return workspace


@pytest.fixture
def workspace(finished, tmp_path):
    """A copy of the finished run, to change."""
    return finished.copy(tmp_path / "project")
