"""What is live on a terminal: how far the run is, what runs now, and how far that is."""

import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rules.view.jobs import Run, in_time, progress_in, roughly

MOST_JOBS = 8
"""Jobs that are shown beside each other; more are counted."""
TIMES_A_SECOND = 2


class Live:
    """Writes lines, and on a terminal keeps a picture of the run below them."""

    def __init__(self, stream: Any, run: Run, nocolor: bool = False) -> None:
        """Show `run` on `stream`; nothing moves where that is no terminal."""
        self.run = run
        self.console = Console(
            file=stream, no_color=nocolor or None, highlight=False, soft_wrap=True, emoji=False
        )
        self._live: RichLive | None = None

    def start(self) -> None:
        """Show the picture, if it is not there already."""
        if self.console.is_terminal and not self.console.is_dumb_terminal and self._live is None:
            self._live = RichLive(
                console=self.console,
                get_renderable=self.picture,
                refresh_per_second=TIMES_A_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def stop(self) -> None:
        """Take the picture away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def write(self, text: str) -> None:
        """Write lines above the picture."""
        self.console.print(Text(text))
        self.console.file.flush()

    @staticmethod
    def now() -> float:
        """Return the time that events are stamped with."""
        return time.time()

    def picture(self) -> RenderableType:
        """Return what is live: two lines for each running job, and one for the run."""
        running = [job for job in list(self.run.running.values()) if job.shown]
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        for job in running[:MOST_JOBS]:
            took = self.now() - job.started
            of = f" of {roughly(job.expected)}" if job.expected else ""
            table.add_row(Text(job.name), f"{in_time(took)}{of}")
            inside = next(filter(None, map(progress_in, job.log)), None)
            if inside:
                table.add_row(Text(f"  {inside}"), "")
        if len(running) > MOST_JOBS:
            table.add_row(f"and {len(running) - MOST_JOBS} more", "")
        left = self.run.left()
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(total=max(1, self.run.total), completed=self.run.done, width=24),
            Text(f"{self.run.done} of {self.run.total} jobs"),
            Text(f"{in_time(self.run.elapsed)} gone"),
            Text("" if left is None else f"{roughly(left)} left"),
        )
        return Group(table, line)
