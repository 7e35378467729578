"""Shows a run through Snakemake's own events: a line for each job, and live on a terminal.

A handler of Snakemake's logger that stands in the place of its default one. Not a logger plugin: it
would have to be installed, and the tree that DVC runs an experiment in is not the installed one.
"""

import logging
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from rules.view.jobs import Job, Run, in_time, last_lines
from rules.view.live import Live

REASON = 160
"""Characters of a reason; whole they are in `--verbose` and in Snakemake's own log file."""
OF_A_REHEARSAL = "/rehearse.benchmark.tsv"
"""How the benchmark of a job ends after which more can be estimated."""
NOISE = (
    *("Assuming unrestricted", "Building DAG", "Using shell", "Select jobs", "Conda env"),
    *("Singularity", "Group jobs", "Provided resources", "Provided cores", "Complete log"),
    *("Trying to restart", "Removing output files of failed", "Shutting down", "host:"),
    *("Exiting because a job execution failed", "Rules claiming more threads", "Elapsed time"),
    "WorkflowError:\nAt least one job did not complete successfully",
)
"""How what nobody needs begins. What a newer Snakemake says otherwise is shown."""


class Estimating(Protocol):
    """What estimates jobs (`rules.view.estimates.Estimates`)."""

    total: float | None
    """Seconds of the whole run, once it is planned."""

    def plan(self) -> str | None:
        """Estimate all jobs that are left; return a line that says it, or None."""

    def seconds_of(self, benchmark: str) -> float | None:
        """Return the seconds of a job by its benchmark's path."""

    def finished(self, benchmark: str) -> None:
        """Note that a job has finished, whose record is of use for later estimates."""


class PlanLine(logging.Handler):
    """Says the estimate where a dry run says which jobs there are."""

    def __init__(self, stream: Any, estimates: Estimating) -> None:
        """Write to `stream`, once."""
        super().__init__()
        self.stream = stream
        self.estimates = estimates
        self.said = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event."""
        if getattr(record, "event", None) == LogEvent.RUN_INFO and not self.said:
            self.said = True
            line = self.estimates.plan()
            if line:
                self.stream.write(f"Estimate: {line}\n")


class ShortReasons(DefaultFormatter):
    """Snakemake's own words of a job, with the beginning of the reason."""

    def format_job_info(self, msg: dict[str, Any]) -> str:
        """Shorten the reason."""
        reason = str(msg["reason"])
        if len(reason) > REASON:
            reason = f"{reason[:REASON].rpartition(' ')[0]} … (--verbose shows all)"
        return super().format_job_info({**msg, "reason": reason})


class View(logging.Handler):
    """One line for each finished job; nothing of what is not asked for."""

    def __init__(
        self,
        stream: Any,
        quiet: Collection[Quietness],
        estimates: Estimating,
        nocolor: bool = False,
    ) -> None:
        """Write to `stream`."""
        super().__init__()
        self.run = Run()
        self.quiet = set(quiet)
        self.estimates = estimates
        self.live = Live(stream, self.run, nocolor)

    @property
    def tells_of_jobs(self) -> bool:
        """Whether finished jobs are told."""
        return not self.quiet & {Quietness.ALL, Quietness.RULES, Quietness.PROGRESS}

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event."""
        try:
            self._take(record)
        except Exception:
            self.handleError(record)

    def _take(self, record: logging.LogRecord) -> None:
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                self.run.total = int(record.stats["total"])
                self._plan()
            case LogEvent.JOB_INFO:
                self._start(record)
            case LogEvent.JOB_FINISHED:
                self._finish(record.job_id)
            case LogEvent.JOB_ERROR:
                self._fail(record.__dict__)
            case LogEvent.GROUP_ERROR:
                for one in record.job_error_info:
                    self._fail(one)
            case LogEvent.PROGRESS:
                self.run.done = record.done
            case None | LogEvent.ERROR:  # what stops Snakemake itself, such as a lock
                self._say(record)

    def _plan(self) -> None:
        line = self.estimates.plan()
        if self.estimates.total is not None:
            self.run.expected = self.run.elapsed + self.estimates.total
        if line and self.tells_of_jobs:
            self.write(line)

    def _say(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        serious = record.levelno >= logging.ERROR
        if not serious and (Quietness.ALL in self.quiet or record.levelno < logging.INFO):
            return
        if text and not text.startswith(NOISE):
            self.write(text)

    def _start(self, record: Any) -> None:
        benchmark = str(record.benchmark) if record.benchmark else None
        name = record.rule_msg or record.rule_name
        self.run.running[record.jobid] = Job(
            name=name,
            log=[str(path) for path in record.log or ()],
            started=record.created,
            benchmark=benchmark,
            expected=self.estimates.seconds_of(benchmark) if benchmark else None,
            shown=bool(record.log),
        )
        if self.tells_of_jobs:
            self.live.start()

    def _finish(self, jobid: int) -> None:
        job = self.run.running.pop(jobid, None)
        self.run.done += 1
        if job is not None and job.benchmark:
            self.estimates.finished(job.benchmark)
        if job is None:
            return
        if job.shown and self.tells_of_jobs:
            took = in_time(self.live.now() - job.started)
            width = len(str(self.run.total))
            self.write(f"[{self.run.done:{width}d}/{self.run.total}] {job.name}: {took}")
        if self.run.expected is None and (job.benchmark or "").endswith(OF_A_REHEARSAL):
            self._plan()

    def _fail(self, error: dict[str, Any]) -> None:
        known = self.run.running.pop(error["jobid"], None)
        name = known.name if known else error["rule_name"]
        logs = [str(path) for path in error.get("log") or ()]
        self.run.failed.append(Job(name=name, log=logs, started=0.0))
        self.write(f"failed: {name}")
        for log in logs:
            lines = last_lines(log)
            said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
            self.write(f"  the last of {log}:\n{said}")

    def write(self, text: str) -> None:
        """Write lines; on a terminal above what is live."""
        self.live.write(text)

    def end(self, lines: Sequence[str], always: bool = False) -> None:
        """Write the last lines of a run; after a success, not where all was to be quiet."""
        self.live.stop()
        if always or Quietness.ALL not in self.quiet:
            for line in lines:
                self.write(line)

    def close(self) -> None:
        """Take away what is live."""
        self.live.stop()
        super().close()


def install(logger: logging.Logger, settings: Any, estimates: Estimating) -> View | None:
    """Put a view in the place of Snakemake's handler of the terminal.

    Left alone are a logger plugin that the user asked for, and `--verbose`. A dry run stays as it
    is, with shorter reasons and the estimate.

    Args:
        logger: Snakemake's.
        settings: its output settings.
        estimates: how long jobs are expected to take.
    """
    default = next((h for h in logger.handlers if h.name == "DefaultStreamHandler"), None)
    if default is None or settings.verbose or settings.debug_dag:
        return None
    if settings.dryrun:
        default.setFormatter(ShortReasons(settings.quiet, settings.show_failed_logs))
        default.addFilter(lambda record: not record.getMessage().startswith(NOISE))
        if Quietness.ALL not in (settings.quiet or ()):
            logger.addHandler(PlanLine(default.stream, estimates))
        return None
    view = View(default.stream, settings.quiet or (), estimates, settings.nocolor)
    if settings.printshellcmds:
        # Asked for: commands are told as Snakemake tells them.
        shell = logging.StreamHandler(default.stream)
        shell.setFormatter(DefaultFormatter(settings.quiet))
        shell.addFilter(DefaultFilter(settings.quiet, False, False, False, True))
        shell.addFilter(lambda record: getattr(record, "event", None) == LogEvent.SHELLCMD)
        logger.addHandler(shell)
    logger.removeHandler(default)
    logger.addHandler(view)
    return view
