"""What every script in `scripts/` shares: its command line, its settings, its record.

Loads no torch: jobs that compute with a network use `squeezed.foundation.torch_job`.
"""

import argparse
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from squeezed.foundation.cli import settings_json
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.foundation.settings import read_settings

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Argument:
    """A file of a job on the command line, `--name` and its path."""

    help: str
    nargs: str | None = None


def one(help: str) -> Argument:
    """Return a file that a job always has."""
    return Argument(help)


def optional(help: str) -> Argument:
    """Return a file that a job may have: None without it."""
    return Argument(help, "?")


def several(help: str) -> Argument:
    """Return one file or more: a list of paths."""
    return Argument(help, "+")


def any_number(help: str) -> Argument:
    """Return any number of files, none too: a list of paths."""
    return Argument(help, "*")


class Job:
    """One run of a script: parse the command line, do the work with it, `write` the result."""

    def __init__(
        self,
        description: str | None,
        *,
        inputs: Mapping[str, Argument],
        outputs: Mapping[str, Argument],
        settings: str,
        seed: str | None = None,
    ) -> None:
        """Parse the command line.

        Args:
            description: the script's own docstring.
            inputs: files that are read, by name. `self.input[name]` is a path, None or a list.
            outputs: files that are written; `result`, the metrics, is always among them.
            settings: which settings the job is a function of, in words.
            seed: what the seed decides; None for a job without one.
        """
        parser = argparse.ArgumentParser(description=description)
        outputs = {**outputs, "result": one("the metrics to write (JSON)")}
        for name, argument in {**inputs, **outputs}.items():
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                type=Path,
                required=argument.nargs not in ("?", "*"),
                default=[] if argument.nargs == "*" else None,
                nargs=argument.nargs,
                help=argument.help,
            )
        parser.add_argument(
            "--settings", required=True, type=settings_json, help=f"{settings}, as JSON"
        )
        if seed is not None:
            parser.add_argument("--seed", required=True, type=int, help=seed)
        given = vars(parser.parse_args())
        self.parser = parser
        self.input: dict[str, Any] = {name: given[name] for name in inputs}
        self.output: dict[str, Path] = {name: given[name] for name in outputs}
        self.settings: dict[str, Any] = given["settings"]
        self.seed: int = given.get("seed", 0)
        self.threads: int = self.settings.get("threads", 1)
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        self.provenance = Provenance(
            inputs=self._input_files(),
            settings=self.settings,
            seed=given.get("seed"),
            threads=self.settings.get("threads"),
        )

    def section(self, name: str, kind: type[Settings]) -> Settings:
        """Return a section of the settings as a typed object."""
        return read_settings(kind, self.settings[name])

    def write(
        self, metrics: Mapping[str, Any], *, measured: Mapping[str, Any] | None = None
    ) -> None:
        """Write the result, with its provenance: the last thing that a job does."""
        write_result(
            self.output["result"], metrics, measured=measured, provenance=self.provenance.finish()
        )

    def _input_files(self) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for name, path in self.input.items():
            if isinstance(path, list):
                stems = {each.stem for each in path}
                # Where the variants' files have one name, their folders have the variants'.
                alike = len(stems) < len(path)
                files |= {f"{name}_{p.parent.name}" if alike else p.stem: p for p in path}
            elif path is not None:
                files[name] = path
        return files
