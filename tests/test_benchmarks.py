"""A benchmark without what it compares with says how to get it."""

import os
import subprocess
import sys

import pytest

from benchmarks.peers import require_peers
from tests import PROJECT


def test_missing_peers_are_named_with_the_way_to_install_them():
    with pytest.raises(SystemExit) as ended:
        require_peers("numpy", "no_such_peer", "nor_this")
    said = ended.value.code
    assert said == (
        "error: this benchmark compares with no_such_peer and nor_this, which are not installed: "
        "uv pip install -r requirements-peers.txt"
    )
    require_peers("numpy")
    assert (PROJECT / "requirements-peers.txt").is_file()


BLOCKED = """
import importlib.util, runpy, sys
found = importlib.util.find_spec
peers = ("foolbox", "torchattacks")
importlib.util.find_spec = lambda name, *rest: None if name in peers else found(name, *rest)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("attack", "uv pip install -r requirements-peers.txt"),
        ("scaling", "tests/slurm/one-machine-slurm install"),
    ],
)
def test_a_benchmark_without_its_peers_ends_in_one_sentence(name, way):
    """Before it trains or measures anything."""
    program = [sys.executable, "-c", BLOCKED, PROJECT / "benchmarks" / f"{name}.py"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PATH": ""}
    ended = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=120)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert len(ended.stderr.splitlines()) == 1
    assert way in ended.stderr
