"""Run a script as `python SCRIPT ARGUMENTS` does, in a fork of the warm process if it answers.

    python -I -S rules/warm/client.py SCRIPT ARGUMENTS

Loads next to nothing, since it is started for each job. Signals that it gets reach the job, and it
ends as the job ends, by the same status or the same signal.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

VARIABLE = "SQUEEZED_WARM"
"""The path of the warm process's socket; `off` set by a person means that there is none."""
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    """Have the script run, and end as it does."""
    command = sys.argv[1:]
    path = os.environ.get(VARIABLE, "off")
    status = None if path == "off" else _forked(path, command)
    if status is None:
        os.execv(sys.executable, [sys.executable, *command])
    end = os.waitstatus_to_exitcode(status)
    if end < 0:
        if -end != signal.SIGKILL:
            signal.signal(-end, signal.SIG_DFL)
        os.kill(os.getpid(), -end)
    sys.exit(end)


def _forked(path: str, command: list[str]) -> int | None:
    """Return the wait status of a fork that ran the command, None where nobody would fork."""
    request = {
        "command": command,
        "client": os.getpid(),
        "executable": sys.executable,
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "umask": _umask(),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
            socket.send_fds(connection, [b"f"], [0, 1, 2])
            connection.sendall(json.dumps(request).encode() + b"\n")
            answers = connection.makefile("r", encoding="utf-8")
            job = json.loads(answers.readline() or "0")
        except OSError:
            return None
        if not job:
            return None
        for number in FORWARDED:
            signal.signal(number, lambda number, frame: os.kill(job, number))
        # A terminal sends it to the job, too, whose end is waited for.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ended = answers.readline()
        if not ended:
            sys.exit(
                "error: the process that jobs are forked from was killed, and this job with it"
            )
        return int(ended)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


if __name__ == "__main__":
    main()
