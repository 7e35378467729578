"""`snakemake -n` in tens of milliseconds: each in a fork of a process that has imported Snakemake.

The fork does what the command does, from the arguments to the exit status; what it costs to start
Python, to import Snakemake and its plugins, and to read the project's code is paid once.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.workflow.workspace import Workspace

LONGEST_S = 60
"""A plan that computes for longer hangs, and so does one that takes `WAITED` times as long."""
WAITED = 20

ANNOUNCED = ("Using workflow specific profile", "Config file config.yaml is extended by")
"""What Snakemake says before it does anything."""

SERVER = """
import json, os, resource, signal, sys, tempfile
from pathlib import Path
from snakemake.cli import get_argument_parser, main
import squeezed.configuration.plan, squeezed.reporting.blocks, squeezed.paper.roles
from squeezed.foundation.code_digest import code_digest
get_argument_parser()  # imports the plugins
ROOT = Path.cwd()
for script in sorted((ROOT / "scripts").glob("*.py")):
    code_digest(script, ROOT, further_roots=[ROOT / "own_steps"], memory=Path(".snakemake/code"))
for line in sys.stdin:
    arguments = json.loads(line)
    with tempfile.TemporaryFile() as file:
        child = os.fork()
        if child == 0:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S))
            signal.alarm(WAITED * LONGEST_S)
            sys.argv = ["snakemake", *arguments]
            try:
                main()
                code = 0
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
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        file.seek(0)
        said = file.read().decode(errors="replace")
    print(json.dumps([code, said]), flush=True)
"""


@dataclass(frozen=True)
class Plan:
    """What `snakemake -n` did."""

    returncode: int
    """Negative where a signal ended it."""
    output: str


def assert_planned_or_refused(plan: Plan) -> str | None:
    """Hold that there is a plan, or one sentence and nothing else; return the sentence."""
    lines = [line for line in plan.output.splitlines() if line and not line.startswith(ANNOUNCED)]
    assert "Traceback" not in plan.output, plan.output[-3000:]
    if plan.returncode == 0:
        return None
    assert plan.returncode == 1, (plan.returncode, plan.output[-3000:])
    assert len(lines) == 1, plan.output[-3000:]
    assert lines[0].startswith("error: "), lines[0]
    return lines[0]


class Planner:
    """Plans what a workspace's configuration asks for."""

    def __init__(self, workspace: Workspace, server: "subprocess.Popen[str]") -> None:
        """Use a server that runs in the workspace's folder."""
        self.workspace = workspace
        self._server = server

    def plan(self, *arguments: str) -> Plan:
        """Run `snakemake -n` with further arguments."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(["-n", "--cores", "2", *arguments]) + "\n")
        self._server.stdin.flush()
        code, said = json.loads(self._server.stdout.readline())
        return Plan(code, said)

    def write(self, text: str | bytes) -> None:
        """Give the workspace this configuration file."""
        content = text if isinstance(text, bytes) else text.encode()
        (self.workspace.folder / "config.yaml").write_bytes(content)


@contextlib.contextmanager
def planner_of(workspace: Workspace) -> Iterator[Planner]:
    """Start a planner for a workspace, and end it afterwards."""
    program = SERVER.replace("LONGEST_S", str(LONGEST_S)).replace("WAITED", str(WAITED))
    server = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=workspace.folder,
        env=workspace.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        yield Planner(workspace, server)
        assert server.stdin is not None
        server.stdin.close()
