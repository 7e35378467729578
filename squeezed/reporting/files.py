"""The files of a report: where each goes, and writing them all.

```
report.html, report.md, configuration.yaml
answer.json: of each experiment what to ship and what not to believe
metrics/{experiment}/{variant}.json
plots/{training_curves,accuracy_size,robustness_curve}.csv
tables/results.csv, tables/{experiment}/{table}.csv
figures/{experiment}/{figure}.svg
captions/{experiment}/{tables,figures}/….rst: for `snakemake --report`
```
"""

from pathlib import Path
from typing import Any

import pandas as pd

from squeezed.reporting.blocks import blocks_of
from squeezed.reporting.document import Document, Section
from squeezed.reporting.exports import metrics_tree, plot_frames
from squeezed.reporting.render import render, write_csv, write_json, write_text

NOT_KNOWN = "# Not known: the report was compiled by hand, without its configuration.\n"


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
    write_json(folder / "answer.json", answers_of(document))
    write_csv(folder / "tables" / "results.csv", document.results_frame)
    write_text(folder / "configuration.yaml", document.configuration or NOT_KNOWN)
    for section in document.sections:
        _write_blocks(section, folder)
    for name, text in render(document, templates).items():
        write_text(folder / name, text)


def answers_of(document: Document) -> dict[str, Any]:
    """Return of each experiment what the first screen says in its boxes, JSON-ready."""
    return {
        section.experiment.name: {
            "ship": section.ship.recommendation.variant,
            "reason": section.ship.recommendation.reason,
            "do_not_believe": [f"{warning.what} {warning.why}" for warning in section.warnings],
            "effort": section.open_questions,
        }
        for section in document.sections
    }


def _write_blocks(section: Section, folder: Path) -> None:
    """Write the file and the caption of every block, be there data or not."""
    experiment = section.experiment
    filled = {(one.block.kind, one.block.key): one for one in section.blocks}
    tables = dict(section.lens_files)
    for block in [*blocks_of(experiment.attacks, experiment.map_methods), *tables]:
        if block.kind == "page":
            continue
        one = filled.get((block.kind, block.key))
        path = folder / block.file(experiment.name)
        if block.kind == "tables":
            nothing = pd.DataFrame({"experiment": [experiment.name], "missing": ["no results"]})
            write_csv(path, one.table.frame if one and one.table else tables.get(block, nothing))
        else:
            write_text(path, _alone(one.drawing if one else None))
        caption = f"{one.caption if one else block.caption}\n"
        write_text(folder / block.caption_file(experiment.name), caption)


def _alone(svg: str | None) -> str:
    """Return an SVG element as a file of its own; without one, a picture that says so."""
    if svg is None:
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="40" role="img" '
            'aria-label="no results"><text x="10" y="25" font-family="sans-serif" '
            'font-size="14">No results for this figure.</text></svg>\n'
        )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg}\n'
