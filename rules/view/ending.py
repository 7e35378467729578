"""The end of a run: the answer in a few lines, or which job failed and where it says why."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from rules.view.jobs import Run, in_time, roughly

WIDTH = 160
"""Characters of a line; the report has the whole sentence."""


def answer(report: Path, run: Run | None) -> list[str]:
    """Return the answer of a finished run in five lines for one experiment, two for each further.

    Args:
        report: the report's page, beside which `answer.json` lies.
        run: the jobs, for how long they took against the estimate; None where nobody counted.
    """
    lines = []
    path = report.with_name("answer.json")
    answers = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, said in answers.items():
        of = f" ({name})" if len(answers) > 1 else ""
        ship = said["ship"] or "no variant yet"
        lines.append(_cut(f"Ship{of}: {ship.replace('_', ' ')}. {said['reason']}"))
        doubts = said["do_not_believe"]
        if doubts:
            more = f" (and {len(doubts) - 1} more in the report)" if len(doubts) > 1 else ""
            lines.append(_cut(f"Do not believe{of}: {doubts[0]}", more))
        lines += [_cut(sentence) for sentence in said["effort"]]
    if run is not None and run.total:
        lines.append(took(run))
    return [*lines, f"The report: {report}"]


def took(run: Run) -> str:
    """Return how long a run took, and how far off its estimate was."""
    line = f"{run.done} jobs in {in_time(run.elapsed)}"
    if not run.expected:
        return f"{line}."
    return (
        f"{line}; the estimate was {roughly(run.expected)}, "
        f"{run.expected / max(run.elapsed, 0.1):.2f} times that."
    )


def failure(logs: Sequence[str], run: Run | None) -> str:
    """Return one sentence that names the logs of the jobs that failed.

    Args:
        logs: Snakemake's own of this run, read where no view followed it.
        run: the jobs, or None.
    """
    where = ", ".join(failed_logs(logs, run) or logs)
    return f"error: the run stopped; the reason is in {where} (run again to go on from there)"


def failed_logs(logs: Sequence[str], run: Run | None) -> list[str]:
    """Return the logs of the jobs that failed; the arguments are those of `failure`."""
    failed: list[str] = [log for job in run.failed for log in job.log] if run else []
    if not failed:
        said = "".join(Path(path).read_text("utf-8", errors="replace") for path in logs)
        failed = re.findall(r"^ +log: (.+?) \(check log file", said, re.MULTILINE)
        # With `--quiet rules` only the command is named.
        failed += re.findall(r"> (\S+) 2>&1' returned non-zero", said)
    return list(dict.fromkeys(failed))


def in_words(log: str) -> str:
    """Return a line on a failed job: what it was, by the place of its log, and where that is."""
    *folders, name = Path(log).with_suffix("").parts[1:]
    whose = ", ".join(folder.replace("seed", "seed ") for folder in folders)
    return f"{name} failed{f' for {whose}' if whose else ''}; the reason is in {log}"


def _cut(text: str, after: str = "") -> str:
    if len(text) + len(after) <= WIDTH:
        return text + after
    return f"{text[: WIDTH - len(after) - 2].rpartition(' ')[0]} …{after}"
