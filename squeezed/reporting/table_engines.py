"""What engines execute of the same file: in which precision, how fast, and with what result."""

from squeezed.reporting.experiment import Experiment
from squeezed.reporting.tables import Column, Table, make_table
from squeezed.reporting.vocabulary import in_words
from squeezed.reporting.wording import number, percent, times

SPEEDUP, DISAGREEMENT = "_speedup", "_disagreement_share"


def engines_table(key: str, experiment: Experiment) -> Table | None:
    """Return the table where there are several engines, or something was found; otherwise None.

    What was found of a variant's file is a note below.
    """
    fields = {
        field
        for (_, _, analysis), record in experiment.records.items()
        if analysis in ("evaluation", "inference_timing")
        for field in (*record, *record.get("measured", {}))
    }
    engines = sorted(
        {
            field.removesuffix(end)
            for field in fields
            for end in (SPEEDUP, DISAGREEMENT)
            if field.endswith(end)
        }
    )
    notes = [
        f"{in_words(variant)}: {finding}"
        for variant in experiment.variants
        if (finding := _finding(experiment, variant))
    ]
    if not engines and not notes:
        return None
    columns = [
        Column("layers_with_weights", "Layers", "Layers with weights", number(0), "evaluation"),
        Column(
            "layers_executed_int8", "In 8 bits", "Of these, run in 8 bits", number(0), "evaluation"
        ),
        Column(
            "speedup", "Speed-up", "By the engine of the other tables", times, "inference_timing"
        ),
    ]
    for engine in engines:
        name = engine.replace("_", " ")
        columns += [
            Column(
                f"{engine}{SPEEDUP}",
                f"… {name}",
                f"Over the baseline, both run by {name}",
                times,
                "inference_timing",
            ),
            Column(
                f"{engine}{DISAGREEMENT}",
                f"{name} disagrees",
                f"Share of the test images of which {name} predicts another class",
                percent,
                "evaluation",
            ),
        ]
    table = make_table(key, experiment, columns)
    return table and Table(key, table.columns, table.rows, table.frame, notes)


def _finding(experiment: Experiment, variant: str) -> str:
    records = [experiment.record(seed, variant, "evaluation") or {} for seed in experiment.seeds]
    return next((str(record["finding"]) for record in records if record.get("finding")), "")
