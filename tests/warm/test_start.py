"""When a run has a warm process, and what a run with one leaves behind."""

import contextlib
import os
import signal
import time
from types import SimpleNamespace

import psutil
import pytest

from rules.warm import start as module
from rules.warm.client import VARIABLE
from rules.warm.start import CLIENT, SOCKET, WORTH_IT, start
from tests.workflow.workspace import Workspace, differences


def a_workflow(jobs=WORTH_IT, command=f"python -I -S {CLIENT} scripts/embed.py", **changes):
    """What Snakemake knows of a run on this machine."""
    job = SimpleNamespace(rule=SimpleNamespace(shellcmd=command))
    known = {
        "non_local_exec": False,
        "remote_exec": False,
        "deployment_settings": SimpleNamespace(deployment_method=frozenset()),
        "dag": SimpleNamespace(needrun_jobs=lambda: [job] * jobs),
    }
    return SimpleNamespace(**known | changes)


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What was launched."""
    launched = []
    monkeypatch.setattr(module, "launch", lambda libraries: launched.append(1) or (tmp_path, 0))
    monkeypatch.setattr(module, "measure_forks", lambda folder: None)
    monkeypatch.setattr(module, "_KEPT", [])
    monkeypatch.setattr(module.atexit, "register", lambda *_, **__: None)
    monkeypatch.setenv(VARIABLE, "of a run that is over")
    return launched


def test_a_run_of_several_jobs_has_one(started, tmp_path):
    start(a_workflow())
    assert started == [1]
    assert os.environ[VARIABLE] == str(tmp_path / SOCKET)


IN_CONDA = SimpleNamespace(deployment_method={"conda"})


@pytest.mark.parametrize(
    "workflow",
    [
        a_workflow(jobs=WORTH_IT - 1),
        a_workflow(command="python scripts/embed.py"),
        a_workflow(command=None),
        a_workflow(non_local_exec=True),
        a_workflow(remote_exec=True),
        a_workflow(deployment_settings=IN_CONDA),
    ],
    ids=["few jobs", "others", "no commands", "a cluster", "a cluster's job", "conda"],
)
def test_a_run_has_none_where_it_does_not_pay_or_fit(started, workflow):
    start(workflow)
    assert started == []
    assert VARIABLE not in os.environ


def test_whoever_wants_none_has_none(started, monkeypatch):
    monkeypatch.setenv(VARIABLE, "off")
    start(a_workflow())
    assert started == []
    assert os.environ[VARIABLE] == "off"


def wait_for(condition, timeout=240):
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.mark.slow
@pytest.mark.workflow
def test_nothing_of_a_run_outlives_a_killed_snakemake(tmp_path):
    workspace = Workspace.create(tmp_path / "project")
    run = workspace.start("snakemake", "--cores", "2", "results/tiny/seed0/pruned/evaluation.json")
    snakemake = psutil.Process(run.pid)

    def with_a_fork():
        """The processes of the run, once one of them is a fork of the warm process."""
        below, warm = snakemake.children(recursive=True), 0
        for process in below:
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                warm += any(word.endswith("rules/warm/server.py") for word in process.cmdline())
        return below if warm > 1 else None

    try:
        below = wait_for(with_a_fork)
        snakemake.kill()
        _, alive = psutil.wait_procs(below, timeout=60)
        assert alive == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@pytest.mark.matrix
@pytest.mark.workflow
def test_results_are_the_same_bytes_without(tmp_path, monkeypatch):
    contents = []
    for variable in ("", "off"):
        monkeypatch.setenv(VARIABLE, variable)
        workspace = Workspace.create(tmp_path / f"with{variable}" / "project")
        workspace.snakemake()
        contents.append(workspace.exact_contents())
    assert differences(*contents) == set()
