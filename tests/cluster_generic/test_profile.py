"""profiles/cluster-generic with a pretended scheduler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
PROFILE = "profiles/cluster-generic"


@pytest.fixture
def run(tmp_path):
    """A function that runs the small workflow through the profile."""
    (tmp_path / "pbs").mkdir()
    (tmp_path / PROFILE).mkdir(parents=True)
    for name in ("config.yaml", "status"):
        (tmp_path / PROFILE / name).write_bytes((PROJECT / PROFILE / name).read_bytes())
    (tmp_path / PROFILE / "status").chmod(0o755)
    small = PROJECT / "tests" / "slurm" / "small" / "Snakefile"
    (tmp_path / "Snakefile").write_bytes(small.read_bytes())
    path = [str(HERE), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = os.environ | {
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(PROJECT),
        "PROJECT": str(PROJECT),
        "FAKE_PBS": str(tmp_path / "pbs"),
        "JOBS": "2",
    }

    def command(*arguments):
        return subprocess.run(
            ["snakemake", "--profile", PROFILE, "--latency-wait", "2", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return command


@pytest.mark.slow
def test_jobs_run_with_what_they_ask_for(run, tmp_path):
    done = run("sleep_all", "small/gpu.txt")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small" / "slept1.txt").read_text() == "slept\n"
    submitted = (tmp_path / "pbs" / "submitted").read_text()
    assert submitted.count("mem=500mb:ngpus=0 -l walltime=300") == 2
    assert submitted.count("ngpus=1 -l walltime=600") == 1
    assert "SQUEEZED_GPUS=1" in (tmp_path / "small" / "gpu.txt").read_text()


@pytest.mark.slow
def test_a_job_that_the_scheduler_kills_is_tried_again_and_then_given_up(run, tmp_path):
    done = run("small/broken.txt", "small/slept0.txt", "--retries", "1")
    assert done.returncode != 0
    assert (tmp_path / "small" / "slept0.txt").exists()
    submitted = (tmp_path / "pbs" / "submitted").read_text()
    assert "mem=500mb" in submitted and "mem=1000mb" in submitted
