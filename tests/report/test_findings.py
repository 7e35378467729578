"""What README and docs/findings.md say: each figure is the one in the table that it leads to.

A figure is a link to a CSV, whose title names the row and the column:
`[2.32× [2.28, 2.36]](….csv "quantized: speedup")`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from squeezed.paper.catalogue import CARRIED, CLAIMS
from squeezed.paper.verdict import Verdict
from squeezed.reporting.estimates import Estimate
from squeezed.reporting.wording import (
    grey_levels,
    megabytes,
    milliseconds,
    percent,
    plain,
    points,
    times,
    with_interval,
)
from tests import PROJECT

REFERENCE = PROJECT / "reports" / "reference"
TEXTS = [PROJECT / "README.md", PROJECT / "docs" / "findings.md"]
FIGURE = re.compile(
    r"\[(?P<text>(?:[^][]|\[[^][]*\])+)\]"
    r'\((?P<path>[^()\s]+\.csv)\s+"(?P<row>.+?): (?P<column>\w+)"\)'
)
UNITS: dict[str, Callable[[float], str]] = {
    "points": points,
    "%": percent,
    "×": times,
    "MB": megabytes,
    "ms": milliseconds,
    "/255": grey_levels,
}
ROWS = ("variation", "variant", "claim", "measure")
"""The column by which a table's rows are named: the first of these that it has."""


@dataclass(frozen=True)
class Figure:
    """A figure in a text."""

    file: Path
    text: str
    path: str
    row: str
    column: str


def figures_of(file: Path) -> list[Figure]:
    text = re.sub(r"\s+", " ", file.read_text(encoding="utf-8"))
    return [Figure(file, **found.groupdict()) for found in FIGURE.finditer(text)]


def written(figure: Figure) -> set[str]:
    """Return how the table's figure may be written: with its interval, or without.

    `claim, Quantized` is what a claim's cell says of that variant, `variation, baseline` the row
    of both. Where several rows are meant (a row a seed), they must all say the same.
    """
    frame = pd.read_csv(figure.file.parent / figure.path, converters={"claim": str})
    names = next(name for name in ROWS if name in frame)
    row, _, of = figure.row.partition(", ")
    rows = frame[frame[names] == row]
    if of and names != "claim":
        rows = rows[rows["variant"] == of]
    (found,) = {frozenset(_written(figure, one, of)) for _, one in rows.iterrows()}
    return set(found)


def _written(figure: Figure, row: pd.Series, of: str) -> set[str]:
    value = row[figure.column]
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(";")]
        return {p.removeprefix(f"{of} ") for p in parts if not of or p.startswith(f"{of} ")}
    form = next((form for unit, form in UNITS.items() if unit in figure.text), plain)
    prefix = "" if figure.column == "value" else f"{figure.column}_"
    low, high = (row.get(f"{prefix}{end}") for end in ("low", "high"))
    estimate = Estimate(float(value), low, high)
    return {with_interval(estimate, form), form(float(value))}


def spaced(text: str) -> str:
    """Return a text with one kind of space."""
    return re.sub(r"\s", " ", text)


@pytest.mark.parametrize(
    "figure", [f for file in TEXTS for f in figures_of(file)], ids=lambda f: f"{f.row}-{f.column}"
)
def test_a_figure_is_that_of_its_table(figure: Figure) -> None:
    assert figure.text in {spaced(text) for text in written(figure)}


def test_no_figure_stands_without_a_table() -> None:
    for file in TEXTS:
        text = file.read_text(encoding="utf-8")
        if file.name == "README.md":
            text = text.partition("## What was found")[2].partition("\n## ")[0]
        text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)  # the table of verdicts
        bare = FIGURE.sub("", re.sub(r"\s+", " ", text)).replace("95 % intervals", "")
        assert not re.findall(r"\d[\d.,]* ?(?:%|points|×|MB|ms\b)", bare), file


def test_there_are_figures_to_check() -> None:
    assert len(figures_of(TEXTS[0])) >= 4 and len(figures_of(TEXTS[1])) >= 30


def test_the_table_of_verdicts_is_that_of_the_reports() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert verdict_table() in readme, f"README.md should have:\n{verdict_table()}"


def verdict_table() -> str:
    """Return README's table, from the tables of the claims."""
    runs = {"CIFAR-10": "cifar10", "SVHN": "svhn", "digits": "digits"}
    frames = {
        run: pd.read_csv(path).set_index("claim")
        for run in runs.values()
        for path in (REFERENCE / run / "tables").rglob("claims.csv")
    }
    heads = [f"[{words}](reports/reference/{run}/report.md)" for words, run in runs.items()]
    lines = ["| The paper's claim | " + " | ".join(heads) + " |", "|---|---|---|---|"]
    # Version 0.1.0 judges a claim on the ablated file's size, its text and its table, at once.
    keys = dict.fromkeys(re.sub("ablated_size_.*", "ablated_size", claim.key) for claim in CLAIMS)
    papers = ("cifar10", "svhn")
    for key in keys:
        sentence = frames["cifar10"].loc[key, "sentence"]
        cells = []
        for run, frame in frames.items():
            judged = frame[frame.index.str.fullmatch(f"{key}(_text|_table)?")]
            verdicts = [Verdict(value) for value in judged["verdict"]]
            cells.append("; ".join(v.value if run in papers else CARRIED[v] for v in verdicts))
        lines.append(f"| {str(sentence).removesuffix('.')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def test_readme_fits_in_a_few_screens() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


if __name__ == "__main__":
    print(verdict_table())
