"""Rehearse an experiment on an untrained network: what cannot work is said before any training."""

from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one
from squeezed.foundation.results import read_result
from squeezed.rehearsal import rehearse


@script_main
def main() -> None:
    """Rehearse, and write what has to be left out."""
    job = Job(
        __doc__,
        inputs={
            "dataset": one("the prepared data set"),
            "summary": one("what is in it (JSON)"),
        },
        outputs={},
        settings="the experiment's architecture, variants, embedding, tsne and cam",
    )
    dataset = open_dataset(job.input["dataset"])
    found = rehearse(job.settings, dataset, read_result(job.input["summary"]))
    job.write(
        {"left_out": job.settings["left_out"], "notes": found.notes},
        measured={"pass_ms_per_image": found.pass_ms_per_image},
    )


if __name__ == "__main__":
    main()
