"""What Snakemake's process does about the warm process: starts it, and measures its jobs."""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from snakemake import benchmark

from rules.warm.client import VARIABLE

CLIENT = "rules/warm/client.py"
SERVER = Path(__file__).with_name("server.py")
SOCKET = "socket"
LIBRARIES = (
    *("numpy", "psutil", "tqdm", "threadpoolctl", "PIL.Image", "safetensors.numpy"),
    *("torch", "onnx", "torch.onnx", "onnxscript", "torch.export", "networkx", "torchvision"),
    *("scipy.stats", "scipy.ndimage", "pandas", "sklearn.metrics", "sklearn.neighbors"),
    *("captum.attr", "openTSNE", "torch_pruning"),
)
"""What jobs load and takes its time, in the order in which a run's jobs do. Not onnxruntime: it
starts a thread at once, and is quick."""
WORTH_IT = 3
"""Jobs of a run from which on it is: one start of Python costs less than loading everything."""
_KEPT: list[int] = []
"""The writing end of the pipe that closes when this process ends."""


def start(workflow: Any) -> None:
    """Start a warm process for a run on this machine in this environment, where it is worth it.

    Not for jobs on a cluster, in conda environments or containers, whose Python is another; nor
    elsewhere than on Linux, where processes that have loaded these libraries may not fork.
    """
    if os.environ.get(VARIABLE) == "off":
        return
    os.environ.pop(VARIABLE, None)
    elsewhere = workflow.non_local_exec or workflow.remote_exec
    elsewhere = elsewhere or workflow.deployment_settings.deployment_method
    asking = [job for job in workflow.dag.needrun_jobs() if CLIENT in (job.rule.shellcmd or "")]
    if sys.platform != "linux" or elsewhere or len(asking) < WORTH_IT:
        return
    folder, alive = launch(LIBRARIES)
    _KEPT.append(alive)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = str(folder / SOCKET)
    measure_forks(folder)


def launch(libraries: Sequence[str]) -> tuple[Path, int]:
    """Start a warm process that loads these libraries.

    Returns:
        The folder in which its socket is, and a descriptor: the process ends, and its jobs do,
        when that is closed.
    """
    # Not in the project's folder: the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="squeezed-"))
    alive, kept = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen(128)
        # One thread while it loads: a pool of threads does not survive a fork.
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        subprocess.Popen(
            [sys.executable, SERVER, str(listener.fileno()), str(alive), folder, *libraries],
            env={**os.environ, VARIABLE: str(folder / SOCKET), **one},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(listener.fileno(), alive),
        )
    os.close(alive)
    return folder, kept


class Fork(psutil.Process):
    """A job, whose memory is looked at ever more rarely.

    The kernel walks over all of its pages for that, those that it shares with the warm process
    included: twice a second, as Snakemake asks, took a thirtieth of a run's time.
    """

    _memory: Any = None
    _due = 0.0

    def memory_full_info(self) -> Any:
        """Return what was found last, or what is there now where that has doubled its age."""
        age = time.time() - self.create_time()
        if self._memory is None or age >= self._due:
            self._memory, self._due = super().memory_full_info(), 2 * age
        return self._memory


class Shell(psutil.Process):
    """A job's shell, which counts the fork that its client waits for as a child."""

    def __init__(self, pid: int, folder: Path) -> None:
        super().__init__(pid)
        self._folder = folder

    def children(self, recursive: bool = False) -> list[psutil.Process]:
        """Return the shell's processes and, if they are all asked for, those of forks."""
        found = super().children(recursive)
        for client in [self, *found] if recursive else ():
            note = self._folder / str(client.pid)
            try:
                fork = Fork(int(note.read_text(encoding="utf-8")))
                found += [fork, *fork.children(recursive=True)]
            except (OSError, ValueError, psutil.NoSuchProcess):
                continue
        return found


def measure_forks(folder: Path) -> None:
    """Have Snakemake's benchmarks measure the forks of jobs, too."""

    class Timer(benchmark.BenchmarkTimer):
        def __init__(self, pid: int, *others: Any) -> None:
            super().__init__(pid, *others)
            self.main = Shell(pid, folder)

    benchmark.BenchmarkTimer = Timer
