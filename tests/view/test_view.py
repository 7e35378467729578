"""What a person sees of a run, with real Snakemake and jobs that do next to nothing."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rules.view.ending import WIDTH, answer, failure
from rules.view.jobs import Job, Run, in_time, last_lines, progress_in, roughly
from tests import PROJECT

JOBS = 6
SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from snakemake.logging import logger
from rules.view.ending import failure
from rules.view.handler import install
class Estimates:
    total = None
    def plan(self):
        self.total = 9.0
        return "as many jobs as there are, about 0:09."
    def seconds_of(self, benchmark):
        return 3.0
    def finished(self, benchmark):
        assert benchmark.endswith(".tsv")
VIEW = install(logger, workflow.output_settings, Estimates())

rule all:
    default_target: True
    input: expand("made/{{n}}.txt", n=range({JOBS}))
    localrule: True
    message: "All is made."

rule make:
    output: "made/{{n}}.txt"
    log: "logs/{{n}}.log"
    benchmark: "logs/{{n}}.tsv"
    params: "x" * 9000
    message: "Make number {{wildcards.n}}"
    shell: "bash work.sh {{wildcards.n}} {{output}} > {{log}} 2>&1"

onsuccess:
    VIEW and VIEW.end(["Ship: it."])
onerror:
    VIEW and VIEW.end([failure(log, VIEW.run)], always=True)
"""
WORK = 'echo "working on $1"; [ "$1" != "$BREAK" ] || { echo "on purpose"; exit 1; }; touch $2'


@pytest.fixture(name="folder")
def project(tmp_path: Path) -> Path:
    """Return a folder with a workflow of a few jobs."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "work.sh").write_text(WORK)
    return tmp_path


def environment(broken: int | None = None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "BREAK": str(broken), "TERM": "xterm-256color", "COLUMNS": "80"}


def snakemake(folder: Path, *words: str, broken: int | None = None) -> tuple[int, str]:
    """Run the workflow where nobody looks, and return its status and all that it said."""
    done = subprocess.run(
        ["snakemake", "--cores", "2", *words],
        cwd=folder,
        env=environment(broken),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_run_says_a_line_for_each_job_and_the_end(folder: Path) -> None:
    status, said = snakemake(folder)
    assert status == 0, said
    lines = said.splitlines()
    assert len(lines) <= JOBS + 10
    for n in range(JOBS):
        (line,) = [line for line in lines if f"Make number {n}" in line]
        assert re.fullmatch(rf"\[\d/{JOBS + 1}\] Make number {n}: \d:\d\d", line)
    assert lines[-1] == "Ship: it."
    assert said.count("about 0:09.") == 1
    assert "Reason" not in said and "xxx" not in said
    assert snakemake(folder)[1].splitlines()[-1].startswith("Nothing to be done")


@pytest.mark.parametrize("quiet", [(), ("rules",), ("progress",), ("rules", "progress"), ("all",)])
def test_a_failure_names_the_job_and_shows_the_end_of_its_log(
    folder: Path, quiet: tuple[str, ...]
) -> None:
    words = ("--quiet", *quiet, "--") if quiet else ()
    status, said = snakemake(folder, *words, broken=3)
    assert status != 0
    assert "failed: Make number 3" in said
    assert "the last of logs/3.log:\n    working on 3\n    on purpose" in said
    assert "error: the run stopped; the reason is in logs/3.log (run again" in said
    assert "working on 2" not in said
    if quiet:
        assert "Make number 2" not in said


@pytest.mark.parametrize("quiet", [(), ("rules",), ("all",)])
def test_what_stops_snakemake_itself_is_said(folder: Path, quiet: tuple[str, ...]) -> None:
    words = ("--quiet", *quiet, "--") if quiet else ()
    text = (folder / "Snakefile").read_text()
    (folder / "Snakefile").write_text(
        text.replace('    log: "logs', '    input: "gone"\n    log: "logs')
    )
    status, said = snakemake(folder, *words)
    assert status != 0
    assert "MissingInputException" in said and "gone" in said


def test_all_quiet_is_quiet(folder: Path) -> None:
    status, said = snakemake(folder, "--quiet", "all")
    assert (status, said) == (0, "")


def test_a_dry_run_keeps_a_short_reason(folder: Path) -> None:
    snakemake(folder)
    text = (folder / "Snakefile").read_text()
    (folder / "Snakefile").write_text(text.replace('"x" * 9000', '"y" * 9000'))
    status, said = snakemake(folder, "--dry-run")
    assert status == 0
    reasons = [line for line in said.splitlines() if line.startswith("Reason: ")]
    assert len(reasons) >= JOBS
    assert max(map(len, reasons)) < 250
    assert said.count("Estimate: as many jobs as there are, about 0:09.") == 1
    whole = snakemake(folder, "--dry-run", "--verbose")[1]
    assert "y" * 9000 in whole


def test_a_command_is_shown_to_whoever_asks(folder: Path) -> None:
    assert "bash work.sh 3" not in snakemake(folder)[1]
    assert "bash work.sh 3" in snakemake(folder, "--printshellcmds", "--forceall")[1]


def test_on_a_terminal_the_run_is_live(folder: Path) -> None:
    (folder / "work.sh").write_text(f"printf '\\rcat: 50%%|## | 1/2 [00:01]'; sleep 2; {WORK}")
    said = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        said.extend(data)
        return data

    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("snakemake", ["snakemake", "--cores", "2"], environment())
    try:
        while read(descriptor):
            pass
    except OSError:  # the other side has closed
        pass
    _, status = os.waitpid(pid, 0)
    text = said.decode()
    assert status == 0, text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert re.search(rf"\d of {JOBS + 1} jobs", plain)
    assert "cat: 1/2 (50%)" in plain
    assert "of about 5 s" in plain
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor comes back"
    assert plain.rstrip().endswith("Ship: it.")


def test_a_log_that_overwrites_its_line_is_read_as_it_looks(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text(
        "start\n\rtraining:  10%|#    | 2/20 [00:01]\rtraining:  40%|##   | 8/20 [00:04]"
    )
    assert last_lines(str(log)) == ["start", "training:  40%|##   | 8/20 [00:04]"]
    assert progress_in(str(log)) == "training: 8/20 (40%)"
    assert progress_in(str(tmp_path / "none.log")) is None
    assert last_lines(str(tmp_path / "none.log")) == []


def test_only_the_last_lines_of_a_long_log_are_read(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("".join(f"line {n}\n" for n in range(100_000)))
    assert last_lines(str(log), 2) == ["line 99998", "line 99999"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0:00"), (7, "0:07"), (754, "12:34"), (3723, "1:02:03")]
)
def test_times_are_a_clocks(seconds: float, words: str) -> None:
    assert in_time(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "about 5 s"),
        (42, "about 40 s"),
        (89, "about 90 s"),
        (116, "about 2 min"),
        (376, "about 6 min"),
        (59.4 * 60, "about 59 min"),
        (59.6 * 60, "about 1 h"),
        (7860, "about 2 h 10 min"),
        (376 * 60, "about 6 h 20 min"),
        (20.4 * 3600, "about 20 h"),
    ],
)
def test_an_estimate_is_no_finer_than_it_is_known(seconds: float, words: str) -> None:
    assert roughly(seconds) == words


def test_the_answer_has_five_lines_for_one_experiment(tmp_path: Path) -> None:
    said = {
        "ship": "pruned_quantized",
        "reason": "It is smaller. " * 30,
        "do_not_believe": ["Robust accuracy of one. No gradient.", "Another."],
        "effort": ["The effort of this run is standard: so much cannot be shown."],
    }
    (tmp_path / "answer.json").write_text(json.dumps({"digits": said}))
    run = Run(total=3, done=3, expected=10.0)
    lines = answer(tmp_path / "report.html", run)
    assert len(lines) == 5
    assert all(len(line) <= WIDTH for line in lines[:3])
    assert lines[0].startswith("Ship: pruned quantized. It is smaller.")
    assert lines[1] == (
        "Do not believe: Robust accuracy of one. No gradient. (and 1 more in the report)"
    )
    assert "the estimate was about 10 s" in lines[3]
    assert lines[4] == f"The report: {tmp_path / 'report.html'}"


def test_without_a_view_the_failure_is_read_from_snakemakes_log(tmp_path: Path) -> None:
    log = tmp_path / "snakemake.log"
    log.write_text("Error:\n    log: logs/a.log (check log file(s) for error details)\n")
    assert "the reason is in logs/a.log (run" in failure([str(log)], None)
    known = Run(failed=[Job("b", ["logs/b.log"], 0.0)])
    assert "the reason is in logs/b.log (run" in failure([str(log)], known)
