"""Why a score is missing that was to be there: what has no spread has none."""

from dataclasses import replace

from squeezed.reporting.experiment import Experiment
from squeezed.reporting.tables import Table
from squeezed.reporting.vocabulary import in_words, listed


def with_not_scored(
    table: Table, experiment: Experiment, analysis: str, name: str, what: str
) -> Table:
    """Return the table with a note on the variants whose features or maps have no spread.

    Args:
        table: the scores.
        experiment: whose results.
        analysis: the result file that holds the scores, without `.json`.
        name: a score that is there, but empty, where there is no spread.
        what: features or maps.
    """
    without = [
        variant
        for variant in experiment.variants
        for record in [experiment.record(seed, variant, analysis) for seed in experiment.seeds]
        if record is not None and name in record and record[name] is None
    ]
    if not without:
        return table
    whose = listed([in_words(variant) for variant in dict.fromkeys(without)])
    note = f"{whose}: {what} without spread, the same for all that they are of: not scored."
    return replace(table, notes=[*table.notes, note])
