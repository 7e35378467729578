"""A copy of the project in a folder of its own, in which the real workflow runs."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from squeezed.foundation.results import exact_part
from tests import PROJECT

TINY = Path(__file__).parent / "tiny.yaml"
OUTPUT_FOLDERS = ("data", "models", "results", "reports/generated")


@dataclass
class Outcome:
    """What a command did."""

    returncode: int
    output: str
    """Standard output and standard error together."""
    jobs: set[str] = field(default_factory=set)
    """The jobs that ran, by the path of their log without `logs/` and `.log`."""


class Workspace:
    """A git and DVC repository with the project's files and its own runs."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, in which `create`, `copy` or `git clone` put the project."""
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, configuration: Path = TINY) -> "Workspace":
        """Copy the project as it stands, uncommitted changes included, and commit it there."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (PROJECT / name).is_file() and not name.startswith("tests/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, folder / name)
        shutil.copy(configuration, folder / "config.yaml")
        (folder / "dvc.lock").unlink(missing_ok=True)
        workspace = cls(folder)
        workspace.git("init", "--quiet", "--initial-branch=main")
        workspace.commit("Start")
        return workspace

    def copy(self, folder: Path) -> "Workspace":
        """Copy the project with all that was made, as one moves a folder."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Workspace(folder)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands: the tests' Python first, nothing of the user's settings."""
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "SNAKEMAKE_"))}
        kept.pop("PYTHONPATH", None)
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "DVC_SITE_CACHE_DIR": str(home / "dvc"),
            "DVC_NO_ANALYTICS": "1",
            "GIT_AUTHOR_NAME": "Test",
            "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "Test",
            "GIT_COMMITTER_EMAIL": "test@example.org",
        }

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own, and return at once."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, check: bool = True) -> Outcome:
        """Run a command and say what it did; with `check`, fail the test if the command fails."""
        before = self.log_times()
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        after = self.log_times()
        jobs = {name for name, time in after.items() if before.get(name) != time}
        if check:
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}"
        return Outcome(done.returncode, done.stdout, jobs)

    def snakemake(self, *arguments: str, check: bool = True) -> Outcome:
        """Run the workflow."""
        return self.run("snakemake", "--cores", "2", *arguments, check=check)

    def repro(self, *arguments: str, check: bool = True) -> Outcome:
        """Run the workflow through DVC."""
        return self.run("dvc", "repro", *arguments, check=check)

    def git(self, *arguments: str) -> str:
        """Run git and return what it prints."""
        return self.run("git", *arguments).output.strip()

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def configure(self, path: str, value: Any) -> None:
        """Set one key of the configuration, by its dotted path."""
        file = self.folder / "config.yaml"
        configuration = yaml.safe_load(file.read_text())
        section = configuration
        *parents, key = path.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[key] = value
        file.write_text(yaml.safe_dump(configuration, sort_keys=False))

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands exactly once in a file."""
        file = self.folder / name
        text = file.read_text()
        assert text.count(old) == 1, f"{name} does not hold {old!r} once"
        file.write_text(text.replace(old, new))

    def planned(self) -> set[str]:
        """The jobs that `snakemake -n` would run (only their rules); none if nothing is to do."""
        said = self.snakemake("--dry-run").output
        table = said.partition("Job stats:")[2].partition("total")[0]
        return set(re.findall(r"^(\w+) +\d+$", table, re.MULTILINE))

    def assert_up_to_date(self) -> None:
        """Both tools have nothing to say."""
        assert self.planned() == set()
        status = self.run("dvc", "status").output
        assert "Data and pipelines are up to date." in status, status

    def result(self, variant: str, analysis: str) -> dict[str, Any]:
        """Read a result of the tiny experiment."""
        path = self.folder / "results" / "tiny" / "seed0" / variant / f"{analysis}.json"
        return json.loads(path.read_text())

    def exact_contents(self) -> dict[str, Any]:
        """What must be the same in every run: all outputs without times, memory, provenance."""
        contents: dict[str, Any] = {}
        measured: set[str] = set()
        for folder in OUTPUT_FOLDERS:
            for path in sorted((self.folder / folder).rglob("*")):
                name = path.relative_to(self.folder).as_posix()
                if path.suffix == ".json":
                    found = json.loads(path.read_text())
                    times = found.get("measured", {})
                    measured |= times.keys()
                    for variant in times.get("variants", {}).values():
                        measured |= variant.keys()
                    contents[name] = exact_part(found)
                elif path.is_file():
                    contents[name] = path.read_bytes()
        for name, content in contents.items():
            if name.startswith("reports/generated/metrics/"):
                contents[name] = _without(content, measured)
            elif name.startswith("models/") and name.endswith(".md"):
                contents[name] = "present"  # times are on the cards, too
            elif name.startswith("reports/") and not name.startswith("reports/generated/plots/"):
                contents[name] = "present"  # times and provenance are in it
        return contents

    def log_times(self) -> dict[str, int]:
        logs = self.folder / "logs"
        times = {}
        for path in logs.rglob("*.log"):
            with contextlib.suppress(FileNotFoundError):  # a run that goes on removes some
                name = path.relative_to(logs).with_suffix("").as_posix()
                times[name] = path.stat().st_mtime_ns
        return times


def _without(metrics: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return nested metrics without those of these names."""
    return {
        key: _without(value, names) if isinstance(value, Mapping) else value
        for key, value in metrics.items()
        if key not in names
    }


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> set[str]:
    """The names of the files that differ, or that only one side has."""
    return {
        name
        for name in found.keys() | expected.keys()
        if name not in found or name not in expected or found[name] != expected[name]
    }
