"""What became of each layer in files that other tools made, and what that sums up to."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from squeezed.comparison.wording import sentences_on_files
from squeezed.configuration.recipes import BASELINE
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.tables import Cell, Column, Table
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import NONE, percent

ROWS_AT_MOST = 20
"""Of more layers those are shown in which a variant parts most from the baseline."""
ANALYSIS = "layer_divergence"


def imported_variants(experiment: Experiment) -> list[str]:
    """Return the variants that another tool made, without the baseline."""
    recipes = experiment.recipes
    return [v for v in experiment.compressed if v in recipes and recipes[v].step == "import"]


def layers_of(experiment: Experiment) -> pd.DataFrame:
    """Return one row for each imported variant and layer, of the first seed that has them.

    Columns: `experiment`, `variant`, and those of `squeezed.comparison.graphs_apart`. An import is
    the same file for each seed.
    """
    found = []
    for variant in imported_variants(experiment):
        for seed in experiment.seeds:
            table = experiment.frame(seed, variant, f"{ANALYSIS}.csv")
            if table is not None:
                table.insert(0, "experiment", experiment.name)
                table.insert(1, "variant", variant)
                found.append(table)
                break
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def layers_table(key: str, experiment: Experiment) -> Table | None:
    """Return a row for each layer and two columns for each imported variant; None without any."""
    layers = layers_of(experiment)
    if layers.empty:
        return None
    variants = list(dict.fromkeys(layers["variant"]))
    columns = [Column("baseline", "Baseline", "What the baseline stores, and its engine executes")]
    for variant in variants:
        words = in_words(variant)
        columns += [
            Column(variant, words, f"{words}: what is stored, and the engine executes"),
            Column(
                f"{variant}_relative_error",
                "… apart",
                f"{words}: difference of what the layer gives, as a share of it",
            ),
        ]
    notes = [note for variant in variants for note in _notes(experiment, variant)]
    names = list(dict.fromkeys(layers["layer"]))
    if len(names) > ROWS_AT_MOST:
        worst = layers.groupby("layer")["relative_error"].max().sort_values(ascending=False)
        shown = set(worst.index[:ROWS_AT_MOST])
        notes.append(
            f"The {ROWS_AT_MOST} of {len(names)} layers in which a variant parts most; all are in "
            "the data below."
        )
        names = [name for name in names if name in shown]
    rows = [(name, _cells(layers[layers["layer"] == name], variants)) for name in names]
    return Table(key, columns, rows, layers, notes, "Layer")


def _cells(rows: pd.DataFrame, variants: Sequence[str]) -> list[Cell]:
    by_variant = rows.set_index("variant").to_dict("index")
    first = next(iter(by_variant.values()))
    cells = [_precision(first["stored_original"], first["executed_original"])]
    for variant in variants:
        row = by_variant.get(variant)
        if row is None:
            cells += [Cell(NONE), Cell(NONE)]
            continue
        error = row["relative_error"]
        cells += [
            _precision(row["stored_compressed"], row["executed_compressed"]),
            Cell(NONE) if pd.isna(error) else Cell(percent(error), error),
        ]
    return cells


def _precision(stored: Any, executed: Any) -> Cell:
    if pd.isna(stored):
        return Cell(NONE)
    text = str(stored) if stored == executed else f"{stored} → {executed}"
    return Cell(text, text)


def _notes(experiment: Experiment, variant: str) -> list[str]:
    """Return what a user would not expect of a file, in the words of `make compare`."""
    files = pd.DataFrame([_file(experiment, BASELINE), _file(experiment, variant)])
    said = [] if files["size_bytes"].isna().any() else sentences_on_files(files)
    layer = next(
        (
            record["largest_relative_error_layer"]
            for seed in experiment.seeds
            if (record := experiment.record(seed, variant, ANALYSIS) or {}).get(
                "largest_relative_error_layer"
            )
        ),
        None,
    )
    said += _twin(experiment, variant)
    errors = experiment.values(variant, ANALYSIS, "largest_relative_error")
    if layer is not None and errors:
        said.append(f"Parts most at {layer}: by {percent(max(errors.values()))} of what it gives.")
    return [f"{in_words(variant)}: {sentence[0].lower()}{sentence[1:]}" for sentence in said]


def _twin(experiment: Experiment, variant: str) -> list[str]:
    """Say how near the twin of a TFLite file is to LiteRT, or why there is none."""
    record = next(
        filter(None, (experiment.record(seed, variant, "import") for seed in experiment.seeds)), {}
    )
    if record.get("why_no_twin"):
        return [
            f"No gradient is known of it ({record['why_no_twin']}): robustness is judged by the "
            "Square attack and other variants' images, and what its features are by its answers."
        ]
    if record.get("n_twin_images"):
        return [
            "Judged by LiteRT; its twin, for gradients, predicts another class for "
            f"{percent(record['twin_disagreement_share'])} of {record['n_twin_images']} images."
        ]
    return []


def _file(experiment: Experiment, variant: str) -> dict[str, float]:
    """Return what is known of a variant's file: the user's own where it was imported."""

    def value(analysis: str, name: str) -> float:
        found = experiment.values(variant, analysis, name)
        return next(iter(found.values()), float("nan"))

    size = value("import", "original_size_bytes")
    return {
        "size_bytes": value("evaluation", "onnx_size_bytes") if pd.isna(size) else size,
        "nonzero_parameters": value("evaluation", "nonzero_parameters"),
        "layers": value(ANALYSIS, "layers"),
        "layers_stored_in_float": value(ANALYSIS, "layers_stored_in_float"),
        "layers_executed_in_float": value(ANALYSIS, "layers_executed_in_float"),
        "latency_ms": value("inference_timing", "latency_p50_ms"),
    }
