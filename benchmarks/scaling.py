"""What Slurm costs: many short jobs through profiles/slurm on a one-machine Slurm.

    tests/slurm/one-machine-slurm install && tests/slurm/one-machine-slurm start
    python benchmarks/scaling.py --output benchmarks/scaling.md

Sleeping jobs show the overhead of starting, for they need no processor themselves; computing jobs
show what is left of the processor. The work and the number of jobs at a time are the same in each
row; `local` runs them without Slurm.

A job's overhead is the slot time that it took beyond its own work:
(wall time × jobs at a time − jobs × seconds) / jobs. Processor seconds are those of all processes
of a job, from the accounting, its own work included.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = ROOT / "tests" / "slurm" / "small" / "Snakefile"
AT_A_TIME = 4
"""What the test Slurm's node claims to have, one for each job."""

LEGEND = """\
# What Slurm costs

Written by `benchmarks/scaling.py`, which says what the columns mean. Machine: {machine}; {jobs}
jobs at a time. A load above the number of cores means that other work shared the machine: wall
times and overheads are then upper bounds, while CPU seconds hold. Where there are fewer cores than
jobs at a time, computing jobs wait for each other, also without Slurm.
"""


@dataclass(frozen=True)
class Row:
    """One run of the small workflow."""

    work: str
    how: str
    jobs: int
    seconds: float
    """Each job's own work."""
    wall_s: float
    processor_s: float
    """Of all Slurm jobs, or of all of Snakemake where it runs them itself."""

    def line(self) -> str:
        """Return the row as a line of the table."""
        overhead = (self.wall_s * AT_A_TIME - self.jobs * self.seconds) / self.jobs
        return (
            f"| {self.work} | {self.how} | {self.jobs} | {self.seconds:g} | {self.wall_s:.0f} | "
            f"{60 * self.jobs / self.wall_s:.1f} | {overhead:.1f} | "
            f"{self.processor_s / self.jobs:.1f} |"
        )


def main() -> None:
    """Run each case and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=24, help="jobs in each run")
    parser.add_argument("--seconds", type=float, default=2, help="of work in each job")
    parser.add_argument("--group", type=int, default=6, help="jobs in one Slurm job, grouped")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one run at most")
    parser.add_argument("--output", type=Path, help="the table to write (Markdown)")
    arguments = parser.parse_args()
    if not (shutil.which("sbatch") and shutil.which("sacct")):
        sys.exit(
            "error: there is no Slurm here (sbatch, sacct): "
            "tests/slurm/one-machine-slurm install && tests/slurm/one-machine-slurm start"
        )
    table = [
        "| work | how | jobs | s each | wall, s | jobs/min | overhead, s/job | CPU, s/job |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for work in ("sleep", "compute"):
        for how in ("local", "ungrouped", f"{arguments.group} in a group"):
            row = measure(work, how, arguments.jobs, arguments.seconds, arguments.limit)
            table.append(row.line())
            print(table[-1], file=sys.stderr)
    machine = f"{os.cpu_count()} cores, {platform.system()}, load {os.getloadavg()[2]:.1f}"
    text = "\n".join([LEGEND.format(machine=machine, jobs=AT_A_TIME), *table, ""])
    if arguments.output:
        arguments.output.write_text(text)
    print(text)


def measure(work: str, how: str, jobs: int, seconds: float, limit: float) -> Row:
    """Run one case and return what it took."""
    command = ["snakemake", f"{work}_all", "--snakefile", str(SMALL)]
    if how == "local":
        command += ["--cores", str(AT_A_TIME)]
    else:
        command += ["--profile", "profile", "--default-resources", "slurm_account=test"]
        command += ["slurm_partition=test", "mem_mb=500", "runtime=5"]
        # --cores bounds how many jobs of a group run side by side: two groups, two each.
        command += ["--slurm-init-seconds-before-status-checks", "5", "--cores", "2"]
    if "group" in how and how != "ungrouped":
        size = how.split()[0]
        command += ["--groups", f"{work}=short", "--group-components", f"short={size}"]
    environment = os.environ | {
        "PROJECT": str(ROOT),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "JOBS": str(jobs),
        "SECONDS_EACH": str(seconds),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "profile").mkdir()
        profile = (ROOT / "profiles" / "slurm" / "config.yaml").read_text()
        (folder / "profile" / "config.yaml").write_text(profile)
        before, started = os.times(), time.perf_counter()
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit
        )
        wall_s = time.perf_counter() - started
        after = os.times()
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        run_id = re.search(r"SLURM run ID: (\S+)", done.stderr)
    own = after.children_user + after.children_system
    own -= before.children_user + before.children_system
    processor_s = own + accounted_seconds(run_id[1]) if run_id else own
    return Row(work, how, jobs, seconds, wall_s, processor_s)


def accounted_seconds(run_id: str) -> float:
    """Return the processor seconds of a run's Slurm jobs."""
    time.sleep(3)  # the accounting is told of a job's end a moment later
    listed = subprocess.run(
        ["sacct", "--noheader", "--parsable2", "--name", run_id, "--format", "JobIDRaw,TotalCPU"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split("|") for line in listed.splitlines()]
    return sum(seconds_of(total) for job, total in rows if job.isdigit())  # not its steps


def seconds_of(text: str) -> float:
    """Read a time as Slurm writes it: `[days-][[hours:]minutes:]seconds`."""
    days, _, rest = text.rpartition("-")
    total = 0.0
    for part in rest.split(":"):
        total = total * 60 + float(part)
    return total + 86400 * int(days or 0)


if __name__ == "__main__":
    main()
