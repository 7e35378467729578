"""Jobs in a second each: every one in a fork of a process that has imported what they all need.

Each fork may be given limits of memory and of file size, and a disk that is full or takes no files.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import PROJECT

SERVER = """
import json, os, pathlib, resource, runpy, signal, subprocess, sys
import torch, torchvision, onnxruntime, onnxscript, openTSNE, captum.attr, torch_pruning
MAIN = {p.stem: runpy.run_path(str(p), run_name="job")["main"]
        for p in sorted(pathlib.Path("scripts").glob("*.py"))}

def mount(disk, place):
    pathlib.Path(place).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", disk, "tmpfs", place], check=True)
    if "ro" not in disk.split(","):
        with open(f"{place}/filler", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass

def work(script, arguments, limits, folder):
    os.chdir(folder)
    torch.nn.functional.conv2d(torch.zeros(4, 3, 64, 64), torch.zeros(8, 3, 3, 3))
    signal.alarm(LONGEST_S)
    for name, most in limits.items():
        if name == "RLIMIT_AS":  # on top of what is taken already
            status = pathlib.Path("/proc/self/status").read_text()
            most += 1024 * int(status.partition("VmSize:")[2].split()[0])
        resource.setrlimit(getattr(resource, name), (most, most))
    sys.argv = [script, *arguments]
    MAIN[script]()

print("ready", flush=True)
for line in sys.stdin:
    script, arguments, limits, disk, folder = json.loads(line)
    if disk:
        mount(disk, folder)
    reads, writes = os.pipe()  # a file would be under the limits, too
    child = os.fork()
    if child == 0:
        os.dup2(writes, 1)
        os.dup2(writes, 2)
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))
        code = 0
        try:
            work(script, arguments, limits, folder)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            code = 1 if isinstance(end.code, str) else end.code or 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.close(writes)
    with open(reads, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if disk:
        subprocess.run(["umount", folder], check=True)
    print(json.dumps([code, said]), flush=True)
"""
LONGEST_S = 600
PRIVATE = ["unshare", "-rm"]
"""A process that may mount disks, which nobody else sees."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    returncode: int
    """Negative where a signal ended it."""
    output: str


class Foreman:
    """Runs the project's scripts."""

    def __init__(self, server: "subprocess.Popen[str]", mounts: bool) -> None:
        """Use a server; `mounts` says whether it may mount disks."""
        self.mounts = mounts
        self._server = server

    def run(
        self,
        script: str,
        arguments: list[str],
        folder: Path,
        limits: dict[str, int] | None = None,
        disk: str | None = None,
    ) -> Outcome:
        """Run a script in a folder.

        Args:
            script: its name.
            arguments: its command line.
            folder: where it runs, and what a disk is mounted at.
            limits: of `setrlimit` by name; that of memory is of what it takes on top.
            disk: options of a tmpfs, which is full, or read-only (`ro`).
        """
        assert self._server.stdin is not None and self._server.stdout is not None
        request = [script, arguments, limits or {}, disk, str(folder)]
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Outcome(*json.loads(self._server.stdout.readline()))


@contextlib.contextmanager
def foreman() -> Iterator[Foreman]:
    """Start a foreman, and end it afterwards."""
    mounts = not subprocess.run([*PRIVATE, "mount", "-t", "tmpfs", "x", "/mnt"], check=False,
                                capture_output=True).returncode  # fmt: skip
    server = subprocess.Popen(
        [
            *(PRIVATE if mounts else ()),
            sys.executable,
            "-c",
            SERVER.replace("LONGEST_S", str(LONGEST_S)),
        ],
        cwd=PROJECT,
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield Foreman(server, mounts)
        assert server.stdin is not None
        server.stdin.close()
