"""The script that tidies up after a killed Snakemake acts only where it is meant to."""

import os
import subprocess

import pytest

from tests import PROJECT

SCRIPT = PROJECT / "profiles" / "slurm" / "come-back"


def run(folder, *arguments):
    """Run it where neither Slurm nor Snakemake is at hand: to act would fail, and be seen."""
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [SCRIPT, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_who_asks_what_it_does_is_told(tmp_path, option):
    (tmp_path / "Snakefile").touch()
    done = run(tmp_path, option)
    assert done.returncode == 0
    assert "cancel what it left in" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("argument", ["--dry-run", "-n", "somewhere", ""])
def test_what_it_does_not_know_stops_it(tmp_path, argument):
    (tmp_path / "Snakefile").touch()
    done = run(tmp_path, argument)
    assert done.returncode == 2
    assert "come-back takes no arguments" in done.stderr


def test_another_folder_is_left_alone(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 1
    assert f"error: {tmp_path} holds no Snakefile" in done.stderr
