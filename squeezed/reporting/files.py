"""The files of a report: where each goes, and writing them all.

```
report.html, report.md
metrics/{experiment}/{variant}.json
plots/{training_curves,accuracy_size,robustness_curve}.csv
tables/claims.csv, tables/results.csv, tables/{experiment}/{table}.csv
figures/{experiment}/{figure}.svg
```
"""

from pathlib import Path

import pandas as pd

from squeezed.reporting.contents import DRAWN
from squeezed.reporting.document import Document
from squeezed.reporting.exports import metrics_tree, plot_frames
from squeezed.reporting.render import render, write_csv, write_json, write_text

TABLES = (
    "table_1",
    "table_1_more",
    "gate",
    "table_2_paper",
    "table_2_strong",
    "variations",
    "embedding",
    "cam",
    "cam_grad_cam",
    "training",
)
"""What every experiment has a file of, be there data or not: the rule declares its outputs."""


def write_report(document: Document, templates: Path, folder: Path) -> None:
    """Write everything; a table or figure without data becomes a file that says so.

    Args:
        document: what the report shows.
        templates: the folder of the templates.
        folder: where to write.
    """
    experiments = [section.experiment for section in document.sections]
    for name, frame in plot_frames(experiments).items():
        write_csv(folder / "plots" / f"{name}.csv", frame)
    for name, variants in metrics_tree(experiments).items():
        for variant, metrics in variants.items():
            write_json(folder / "metrics" / name / f"{variant}.json", metrics)
    write_csv(folder / "tables" / "results.csv", document.results_frame)
    write_csv(folder / "tables" / "claims.csv", document.claims_frame)
    for section in document.sections:
        name = section.experiment.name
        by_key = {block.key: block.table.frame for block in section.tables}
        for key in TABLES:
            nothing = pd.DataFrame({"experiment": [name], "missing": ["no results"]})
            write_csv(folder / "tables" / name / f"{key}.csv", by_key.get(key, nothing))
        drawn = {block.key: block.html for block in section.figures}
        for key in DRAWN:
            write_text(folder / "figures" / name / f"{key}.svg", _alone(drawn.get(key)))
    for name, text in render(document, templates).items():
        write_text(folder / name, text)


def _alone(svg: str | None) -> str:
    """Return an SVG element as a file of its own; without one, a picture that says so."""
    if svg is None:
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="40" role="img" '
            'aria-label="no results"><text x="10" y="25" font-family="sans-serif" '
            'font-size="14">No results for this figure.</text></svg>\n'
        )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg}\n'
