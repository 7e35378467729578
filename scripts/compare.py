"""Compare a model with compressed versions of it on a folder of images: what `make compare` runs.

Writes comparisons/NAME.yaml, which says what was compared and is never overwritten, and into
comparisons/NAME/ a page and the tables for each compressed file. Without a compressed file the
page is of the model alone.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from squeezed.comparison.command_line import (
    LIMITS,
    add_comparison_arguments,
    comparison_options,
)
from squeezed.comparison.comparison import compare
from squeezed.comparison.page import write_description, write_page
from squeezed.comparison.pair import reading_of
from squeezed.comparison.pictures import pictures_of
from squeezed.comparison.single import describe
from squeezed.configuration.completion import STANDARD
from squeezed.foundation.cli import script_main
from squeezed.foundation.errors import UserError
from squeezed.foundation.files import atomic_path

FOLDER = Path("comparisons")


@script_main
def main() -> None:
    """Compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_comparison_arguments(parser)
    parser.add_argument(
        "--compressed", nargs="*", default=[], help="its compressed versions; none: it alone"
    )
    parser.add_argument("--name", help="of the comparison; left out: of the first compressed file")
    parser.add_argument("--effort", choices=list(LIMITS), default=STANDARD, help="how many images")
    arguments = parser.parse_args()
    name = arguments.name or Path([*arguments.compressed, arguments.original][0]).stem
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UserError(f"the name {name!r} must be of letters, digits, '_' and '-': give NAME=")
    if arguments.limit is None:
        arguments.limit = LIMITS[arguments.effort]
    options = comparison_options(arguments)
    described = FOLDER / f"{name}.yaml"
    if described.exists():
        raise UserError(f"{described} is there already: give another NAME=, or delete it")
    if not arguments.compressed:
        _look_at(Path(arguments.original), arguments.images, options, FOLDER / name, name)
    for path in arguments.compressed:
        label = name if len(arguments.compressed) == 1 else Path(path).stem
        folder = FOLDER / name / label if label != name else FOLDER / name
        found = compare(arguments.original, path, arguments.images, **options)
        tables = {
            "summary": found.summary,
            "files": found.files,
            "classes": found.classes,
            "changed": found.changed,
            "layers": found.layers,
            "divergence": found.divergence,
        }
        _write_tables(folder, tables)
        write_page(folder / "report.html", found, found.pictures, label)
        print(*found.sentences, f"The report: {folder / 'report.html'}", sep="\n")
    section = {
        "original": arguments.original,
        "compressed": arguments.compressed,
        "images": arguments.images,
        **{key: list(v) if isinstance(v, tuple) else v for key, v in options.items()},
    }
    with atomic_path(described) as temporary:
        temporary.write_text(yaml.safe_dump(section, sort_keys=False), encoding="utf-8")


def _look_at(path: Path, images: str, options: dict[str, Any], folder: Path, name: str) -> None:
    """Describe one model, and write what was found."""
    settings = dict(options)
    labels, limit, threads = (settings.pop(key) for key in ("labels", "limit", "threads"))
    pictures = pictures_of(images, labels, limit=limit)
    found = describe(path, pictures, reading_of(**settings), threads)
    tables = {
        "summary": found.summary,
        "files": found.files,
        "classes": found.classes,
        "mistakes": found.mistakes,
        "layers": found.layers,
    }
    _write_tables(folder, tables)
    write_description(folder / "report.html", found, pictures, name)
    print(*found.sentences, f"The report: {folder / 'report.html'}", sep="\n")


def _write_tables(folder: Path, tables: dict[str, pd.DataFrame | None]) -> None:
    for key, table in tables.items():
        if table is not None:
            with atomic_path(folder / f"{key}.csv") as temporary:
                table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
