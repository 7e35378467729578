"""Who fools whom: the matrix says what the variants' files say, each with its n."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from squeezed.reporting.collection import collect
from squeezed.reporting.document import Document
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.table_transfer import transfer_table
from squeezed.reporting.tables import Cell, Table
from squeezed.reporting.vocabulary import in_words
from tests.report.browser import Browser
from tests.report.made_up import VARIANTS, drawn, paper_like, settings_of
from tests.report.test_true_sentences import named

OTHERS = ["alpha", "beta", "gamma_2", "delta"]


def cells_of(table: Table) -> dict[tuple[str, str], Cell]:
    """Return each cell by whom its images were made to fool and who is shown them."""
    return {
        (source, column.key): cell
        for source, cells in table.rows
        for column, cell in zip(table.columns, cells, strict=True)
    }


@st.composite
def matrices(draw: st.DrawFn) -> Experiment:
    """Draw the columns of some variants and seeds, rows of them missing."""
    variants = ["baseline", *draw(st.lists(st.sampled_from(OTHERS), unique=True))]
    seeds = tuple(range(draw(st.integers(1, 3))))
    frames: dict[Path, pd.DataFrame | None] = {}
    records = {}
    for seed in seeds:
        for variant in variants:
            n = draw(st.integers(0, 40))
            sources = draw(st.sets(st.sampled_from(["baseline", *OTHERS]))) - {variant}
            rows = []
            for source in sorted(sources):
                hit = draw(st.integers(0, n))
                length = draw(st.floats(0.1, 2)) if hit else np.nan
                rows.append(
                    {"from": source, "n": n, "fooled": hit / max(1, n)}
                    | {"l2_median": length, "l2_median_own": 1.0}
                )
            path = Path(f"/nowhere/seed{seed}/{variant}/transfer.csv")
            frames[path] = pd.DataFrame(rows) if rows else None
            if draw(st.booleans()):
                records[seed, variant, "attack_hard"] = {"success_rate": 1.0, "n_attackable": n}
    return drawn(seeds, variants, records, frames)


@settings(max_examples=25, deadline=None)
@given(matrices())
def test_the_matrix_says_what_the_files_say(experiment: Experiment) -> None:
    told: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for variant in experiment.variants:
        for seed in experiment.seeds:
            frame = experiment.frame(seed, variant, "transfer.csv")
            for row in [] if frame is None else frame.to_dict("records"):
                if row["n"] and row["from"] in experiment.variants:
                    found = told.setdefault((row["from"], variant), [])
                    found.append((row["fooled"], row["l2_median"]))
    table = transfer_table("transfer", experiment)
    if not told:
        assert table is None
        return
    assert table is not None
    for pair, cell in cells_of(table).items():
        if pair in told:
            shares, lengths = zip(*told[pair], strict=True)
            known = [length for length in lengths if not np.isnan(length)]
            assert cell.text == (f"{np.mean(known):.2f}" if known else "–")
            assert f" {100 * np.mean(shares):.1f}" in cell.help and "images" in cell.help
        elif pair[0] != pair[1]:
            assert cell.text == "–" and not cell.shade
    written = table.frame.set_index(["made_to_fool", "shown_to"])["fooled_share"]
    assert {pair: pytest.approx(share) for pair, share in written.items() if pair in told} == {
        pair: np.mean([share for share, _ in some]) for pair, some in told.items()
    }
    of_baseline = {pair[1]: some for pair, some in told.items() if pair[0] == "baseline"}
    for note in table.notes:
        assert named(note) <= set(of_baseline)
        means = [100 * np.mean([share for share, _ in some]) for some in of_baseline.values()]
        assert {f"{min(means):.1f}", f"{max(means):.1f}"} <= set(re.findall(r"[\d.]+", note))
    assert bool(table.notes) == bool(of_baseline)


def test_one_networks_interval_is_wilsons_and_the_nearer_is_darker(tmp_path: Path) -> None:
    made_up = paper_like()
    made_up.transferred = {"baseline": 0.75}
    results = made_up.write(tmp_path, "digits")
    column = made_up.transfers([v for v in VARIANTS if v != "pruned"])
    column["l2_median"] = [0.8 * factor for factor in (1.02, 1.1, 1.25, 1.5, 3.0)]
    column.to_csv(results / "digits/seed0/pruned/transfer.csv", index=False)
    (experiment,) = collect(results, None, {"digits": settings_of()})
    table = transfer_table("transfer", experiment)
    assert table is not None
    cells = cells_of(table)
    low, high = binomtest(750, 1000).proportion_ci(method="wilson")
    said = cells["baseline", "quantized"].help.replace("\u202f", " ").replace("\u00a0", " ")
    assert f"75.0 % [{100 * low:.1f}, {100 * high:.1f}] of 1,000 images" in said
    assert cells["baseline", "quantized"].text == "1.25"
    others = [variant for variant in VARIANTS if variant != "pruned"]
    assert [cells[v, "pruned"].shade for v in others] == [
        f"heat-{level}" for level in (5, 4, 3, 2, 0)
    ]
    assert cells["pruned", "pruned"].text == "1.00"
    column["fooled"] = 0.4
    column.to_csv(results / "digits/seed0/pruned/transfer.csv", index=False)
    (experiment,) = collect(results, None, {"digits": settings_of()})
    seldom = transfer_table("transfer", experiment)
    assert seldom is not None
    assert {cells_of(seldom)[v, "pruned"].shade for v in others} == {"heat-0"}
    assert "75.0" in table.notes[0] and f"each of {len(VARIANTS) - 1} variants" in table.notes[0]


def test_the_page_shows_the_matrix_beside_the_curve(
    alone: tuple[Document, Path], browser: Browser
) -> None:
    document, folder = alone
    filled = document.sections[0].block("transfer")
    assert filled is not None and "n = 1,000 test images" in filled.caption
    rows = pd.read_csv(folder / "tables/digits/transfer.csv")
    assert len(rows) == len(VARIANTS) ** 2
    browser.resize(1440, 900)
    browser.open(folder / "report.html")
    cells = browser.evaluate(
        """[...document.querySelectorAll("table.matrix tbody tr")].map(row =>
            [row.cells[0].innerText.trim(), row.cells.length])"""
    )
    assert cells == [[in_words(variant), len(VARIANTS) + 1] for variant in VARIANTS]
    tops = browser.evaluate(
        """["#digits-figures-robustness", "#digits-tables-transfer"].map(id =>
            Math.round(document.querySelector(id).getBoundingClientRect().top))"""
    )
    assert tops[0] == tops[1]
    wide = browser.evaluate(
        "(e => e.scrollWidth - e.clientWidth)(document.querySelector('table.matrix').parentElement)"
    )
    assert wide <= 0, "nothing of it is cut"
