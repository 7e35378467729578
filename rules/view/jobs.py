"""The jobs of a run, as the events of Snakemake's logger tell of them."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

LAST_LINES = 15
"""Of a failed job's log."""
TAIL = 16384
"""Bytes at the end of a log that are looked at."""
_BAR = re.compile(r"(?P<what>.*?):? *(?P<percent>\d+)%\|.*?\| *(?P<done>[\d.]+\w?/[\d.]+\w?)")


@dataclass
class Job:
    """One job that was started."""

    name: str
    """What it does, in the words of its rule's message."""
    log: list[str]
    started: float
    benchmark: str | None = None
    expected: float | None = None
    """Seconds, if an estimate is known."""
    shown: bool = True
    """False for what only collects files."""


@dataclass
class Run:
    """All of a run's jobs, of which some have finished."""

    total: int = 0
    """Jobs of the plan; those that are not shown count too, as Snakemake counts."""
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    running: dict[int, Job] = field(default_factory=dict)
    failed: list[Job] = field(default_factory=list)
    expected: float | None = None
    """Seconds of the whole run, if an estimate is known."""

    @property
    def elapsed(self) -> float:
        """Seconds since the first event."""
        return time.monotonic() - self.began

    def left(self) -> float | None:
        """Return how many seconds are left by the estimate; None where there is none."""
        return None if self.expected is None else max(0.0, self.expected - self.elapsed)


def last_lines(log: str, number: int = LAST_LINES) -> list[str]:
    """Return the last lines of a log; of a line that was written over again, what it last said."""
    text = _tail(log)
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    return [line for line in lines if line][-number:]


def progress_in(log: str) -> str | None:
    """Return what a job's log says of its progress: `attack, batches: 1/2 (50%)`, or nothing."""
    parts = re.split(r"[\r\n]", _tail(log))
    for part in reversed(parts):
        if match := _BAR.match(part):
            return f"{match['what'].strip()}: {match['done']} ({match['percent']}%)"
    return None


def _tail(log: str) -> str:
    try:
        with Path(log).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def in_time(seconds: float) -> str:
    """Return a duration as a clock shows it: `0:07`, `12:34` or `1:02:03`."""
    whole = round(seconds)
    minutes, hours = whole // 60, whole // 3600
    if hours:
        return f"{hours}:{minutes % 60:02d}:{whole % 60:02d}"
    return f"{minutes}:{whole % 60:02d}"


def roughly(seconds: float) -> str:
    """Return an estimated duration in words, no finer than it is known: `about 6 min`."""
    if seconds < 57.5:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    if seconds < 115:
        return f"about {10 * round(seconds / 10)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min"
    tens = 10 * round(seconds / 600)
    hours, rest = divmod(tens, 60)
    return f"about {hours} h {rest} min" if rest and hours < 10 else f"about {hours} h"
