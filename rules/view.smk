# What a person sees of a run: how long it will take, a line for each job, which one failed, and the
# answer at the end.
from snakemake.logging import logger

from rules.view.ending import answer, failed_logs, failure, in_words
from rules.view.estimates import Estimates
from rules.view.handler import install

VIEW = (
    install(logger, workflow.output_settings, Estimates(workflow, config))
    if workflow.is_main_process
    else None
)


def end_well(report):
    """Say the answer of a run that succeeded."""
    if VIEW is not None:
        VIEW.end(answer(Path(report), VIEW.run))


def failed_in_words(logs):
    """A line on each job that failed, for the report of what there is."""
    run = VIEW.run if VIEW is not None else None
    return [in_words(log) for log in failed_logs(logs, run)]


def end_badly(logs, partial):
    """Say which job failed, where it says why, and what there is to read all the same."""
    said = failure(logs, VIEW.run if VIEW is not None else None)
    if VIEW is None:
        print(said, partial, sep="\n", file=sys.stderr)
    else:
        VIEW.end([said, partial], always=True)
