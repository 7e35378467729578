"""Progress of long work: a live bar on a terminal, a line now and then in a log file."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def track(iterable: Iterable[Item], description: str, total: int | None = None) -> "tqdm[Item]":
    """Wrap an iterable so that it reports its progress on standard error.

    On a terminal the bar moves ten times a second. Elsewhere (a log file) it prints a line at most
    every two seconds, which whoever follows the run is shown.
    """
    live = sys.stderr.isatty()
    return tqdm(
        iterable,
        desc=description,
        total=total,
        file=sys.stderr,
        mininterval=0.1 if live else 2.0,
        ascii=not live,
        dynamic_ncols=live,
    )
