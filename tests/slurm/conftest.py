"""A Slurm on this machine for the tests, or a loud word about why there is none."""

import os
import subprocess
from pathlib import Path

import pytest

ONE_MACHINE_SLURM = Path(__file__).parent / "one-machine-slurm"
ASKED_FOR = "SQUEEZED_TEST_SLURM"


@pytest.fixture(scope="session")
def slurm():
    """Start a one-machine Slurm with accounting; stop it, if it was not running before."""
    if not os.environ.get(ASKED_FOR):
        pytest.skip(f"installs and starts a Slurm: run it with `make test-slurm` ({ASKED_FOR}=1)")
    cannot = subprocess.run([ONE_MACHINE_SLURM, "check"], capture_output=True, text=True)
    if cannot.returncode:
        pytest.skip(cannot.stdout.strip())
    before = command("status")
    command("install")
    command("start")
    yield command
    if "slurmctld -" in before:
        command("stop")


def command(name):
    """Run a command of `one-machine-slurm` and return what it prints."""
    done = subprocess.run([ONE_MACHINE_SLURM, name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
