"""profiles/slurm on a real Slurm: what a user does, and what goes wrong on clusters.

Set up by `make test-slurm`; each test has a limit, because trouble with Slurm shows as waiting.
"""

import collections
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import PROJECT
from tests.workflow.workspace import Workspace, differences

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm")]

PROFILE = "profiles/slurm"
SMALL = Path(__file__).parent / "small" / "Snakefile"


def adapt_profile(folder):
    """Do what docs/cluster.md says: set account and partition. And look at short jobs sooner."""
    file = folder / PROFILE / "config.yaml"
    text = file.read_text()
    for old, new in {
        '"your_account"': '"test"',
        '"your_partition"': '"test"',
        "init-seconds-before-status-checks: 20": "init-seconds-before-status-checks: 5",
        "latency-wait: 60": "latency-wait: 10",
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text)


class SmallRun:
    """A folder in which the small workflow runs with the project's profile."""

    def __init__(self, folder, **variables):
        self.folder = folder
        (folder / PROFILE).mkdir(parents=True)
        for name in ("config.yaml", "come-back"):
            (folder / PROFILE / name).write_bytes((PROJECT / PROFILE / name).read_bytes())
        (folder / PROFILE / "come-back").chmod(0o755)
        adapt_profile(folder)
        (folder / "Snakefile").write_bytes(SMALL.read_bytes())
        self.environment = Workspace(folder / "project").environment | {
            "PROJECT": str(PROJECT),
            "PYTHONPATH": str(PROJECT),
            **{name: str(value) for name, value in variables.items()},
        }

    def start(self, *arguments):
        with (self.folder / "said.txt").open("a") as said:
            return subprocess.Popen(
                ["snakemake", "--profile", PROFILE, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=said,
            )

    def run(self, *arguments, limit=240):
        process = self.start(*arguments)
        try:
            assert process.wait(timeout=limit) == 0, self.said()
        finally:
            process.kill()

    def said(self):
        return (self.folder / "said.txt").read_text()

    def read(self, name):
        path = self.folder / name
        return path.read_text().strip() if path.exists() else ""

    def wait_until(self, condition, limit=120):
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, self.said()
            time.sleep(0.2)


def queued(run_id):
    listed = subprocess.run(
        ["squeue", "--noheader", "--name", run_id, "--format", "%k"],
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()


@pytest.mark.timeout(300)
def test_a_job_short_of_memory_gets_more(tmp_path):
    run = SmallRun(tmp_path)
    run.run("small/filled.txt")
    assert re.search(r"Error in rule fill_memory", run.said()), "it did not fail at first"
    assert run.read("small/filled.txt") == "1200"


@pytest.mark.timeout(300)
def test_a_job_gets_the_gpu_that_it_asks_for(tmp_path):
    run = SmallRun(tmp_path)
    run.run("small/gpu.txt")
    assert run.read("small/gpu.txt") == "SQUEEZED_GPUS=1 CUDA_VISIBLE_DEVICES=0"


@pytest.mark.timeout(480)
def test_the_way_back_after_snakemake_was_killed(tmp_path):
    run = SmallRun(tmp_path, JOBS=6, SECONDS_EACH=12)
    process = run.start("sleep_all")
    run.wait_until(lambda: run.read("notes.txt").count("start") >= 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    known = run.said().count("Finished jobid: ")
    run_id = re.search(r"SLURM run ID: (\S+)", run.said())[1]
    assert queued(run_id), "nothing was left behind: the test shows nothing"
    # Some jobs end without Snakemake, some are cancelled on their way.
    run.wait_until(lambda: "end" in run.read("notes.txt"))

    refused = run.start("sleep_all").wait(timeout=120)
    assert refused != 0, "a second Snakemake started beside what the first left behind"

    back = subprocess.run(
        [f"./{PROFILE}/come-back"],
        cwd=run.folder,
        env=run.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert back.returncode == 0, back.stderr
    assert run_id in back.stdout
    assert not queued(run_id)
    before = collections.Counter(run.read("notes.txt").splitlines())

    run.run("sleep_all", limit=300)
    after = collections.Counter(run.read("notes.txt").splitlines()) - before
    again = [number for number in range(6) if after[f"start {number}"]]
    # Anew: all but what the killed Snakemake had seen the end of. Each once, not twice.
    assert len(again) == 6 - known
    assert after == {f"{what} {n}": 1 for what in ("start", "end") for n in again}
    assert all(run.read(f"small/slept{n}.txt") == "slept" for n in range(6))


@pytest.mark.timeout(360)
def test_an_outage_of_the_accounting(tmp_path, slurm):
    run = SmallRun(tmp_path, JOBS=4, SECONDS_EACH=10)
    process = run.start("sleep_all")
    try:
        run.wait_until(lambda: run.read("notes.txt").count("start") >= 1)
        slurm("kill-accounting")
        time.sleep(40)
        assert process.poll() is None, "it ended before the outage did"
        slurm("start-accounting")
        assert process.wait(timeout=240) == 0, run.said()
    finally:
        process.kill()
        slurm("start-accounting")
    notes = collections.Counter(run.read("notes.txt").splitlines())
    assert notes == {f"{what} {n}": 1 for what in ("start", "end") for n in range(4)}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project with the tiny experiment and an adapted profile."""
    workspace = Workspace.create(tmp_path_factory.mktemp("slurm") / "project")
    adapt_profile(workspace.folder)
    return workspace


@pytest.mark.timeout(900)
def test_a_job_that_fails_for_good(project, tmp_path):
    workspace = project.copy(tmp_path / "project")
    # In the script alone: the rehearsal tries the steps themselves.
    workspace.edit(
        "scripts/make_network.py",
        "    step, settings = step_of(recipe)\n",
        '    if recipe.name == "pruned":\n'
        "        from squeezed.foundation.errors import UserError\n\n"
        '        raise UserError("it cannot be pruned")\n'
        "    step, settings = step_of(recipe)\n",
    )
    outcome = workspace.run(
        *("snakemake", "--profile", PROFILE, "--retries", "1"),
        "models/tiny/seed0/pruned.safetensors",
        "results/tiny/seed0/baseline/embedding.json",
        check=False,
    )
    assert outcome.returncode != 0
    assert (workspace.folder / "results/tiny/seed0/baseline/embedding.json").exists()
    assert not (workspace.folder / "models/tiny/seed0/pruned.safetensors").exists()
    last = outcome.output.strip().splitlines()[-12:]
    named = [line for line in last if line.startswith("error: ")]
    assert named and "logs/tiny/seed0/pruned/make_network.log" in named[0], outcome.output[-3000:]
    log = workspace.folder / "logs/tiny/seed0/pruned/make_network.log"
    assert "error: it cannot be pruned" in log.read_text()


@pytest.mark.timeout(1200)
def test_results_are_those_of_one_machine(project, tmp_path):
    here = Workspace.create(tmp_path / "here" / "project")
    here.snakemake()
    outcome = project.run("env", f"SNAKEMAKE_PROFILE={PROFILE}", "dvc", "repro")
    assert "SLURM run ID" in outcome.output
    assert "has been submitted with SLURM jobid" in outcome.output
    found, expected = project.exact_contents(), here.exact_contents()
    assert any(name.endswith(".safetensors") for name in expected)
    assert "reports/generated/report.html" in found
    assert differences(found, expected) == set()
    project.assert_up_to_date()
