"""When a run has a warm process, and what a run with one leaves behind."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from rules.warm import start as module
from rules.warm.client import VARIABLE
from rules.warm.start import CLIENT, SOCKET, WORTH_IT, Fork, start
from tests import PROJECT
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


def test_memory_is_looked_at_again_when_a_job_has_doubled_its_age(monkeypatch):
    looked = []
    monkeypatch.setattr(psutil.Process, "memory_full_info", lambda self: looked.append(1) or now)
    fork = Fork(os.getpid())
    began, counts = fork.create_time(), []
    for now in (0.5, 0.9, 1.1, 2.0, 2.3, 30.0, 59.0):
        monkeypatch.setattr(module.time, "time", lambda now=now: began + now)
        assert fork.memory_full_info() <= now
        counts.append(len(looked))
    assert counts == [1, 1, 2, 2, 3, 4, 4]


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


SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from rules.warm import start as warm
warm.LIBRARIES = ("numpy",)

rule all:
    default_target: True
    input: expand("made/{{n}}.txt", n=range({WORTH_IT}))
    localrule: True

rule make:
    output: "made/{{n}}.txt"
    log: "logs/{{n}}.log"
    benchmark: "logs/{{n}}.tsv"
    shell: "python -I -S {PROJECT / CLIENT} work.py {{output}} > {{log}} 2>&1"

onstart:
    warm.start(workflow)
"""
WORK = """
import os, pathlib, sys, time
held = bytearray(200 * 2**20)
print(os.getppid(), os.getpid(), flush=True)
while time.process_time() < 1.5 or pathlib.Path("for ever").exists():
    pass
pathlib.Path(sys.argv[1]).touch()
"""


@pytest.fixture
def folder(tmp_path):
    """A real Snakemake's folder, whose jobs compute for a while."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


COMMAND = ("snakemake", "--cores", "2")


def environment():
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_the_jobs_of_a_run_are_forks_and_measured(folder):
    done = subprocess.run(COMMAND, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logs = [path.read_text().split() for path in (folder / "logs").glob("*.log")]
    assert len({parent for parent, _ in logs}) == 1
    assert len({job for _, job in logs}) == WORTH_IT
    for path in (folder / "logs").glob("*.tsv"):
        names, values = (line.split("\t") for line in path.read_text().splitlines())
        record = dict(zip(names, values, strict=True))
        assert float(record["cpu_time"]) > 0.3  # looked at twice a second
        assert 200 < float(record["max_rss"]) < 1000


def test_nothing_of_a_run_outlives_a_killed_snakemake(folder):
    (folder / "for ever").touch()
    run = subprocess.Popen(COMMAND, cwd=folder, env=environment(), stderr=subprocess.DEVNULL)
    snakemake = psutil.Process(run.pid)
    try:
        deadline = time.monotonic() + 120
        while not any(path.read_text() for path in (folder / "logs").glob("*.log")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        below = snakemake.children(recursive=True)
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []


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
