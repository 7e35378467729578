"""Rehearse an experiment on an untrained network: what cannot work is said before any training."""

from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one
from squeezed.rehearsal import rehearse


@script_main
def main() -> None:
    """Rehearse, and write what has to be left out."""
    job = Job(
        __doc__,
        inputs={"dataset": one("the prepared data set")},
        outputs={},
        settings="the experiment's architecture, variants and analyses",
    )
    made = list(rehearse(job.settings, open_dataset(job.input["dataset"])))
    job.write({"variants": len(made), "left_out": job.settings["left_out"], "notes": []})


if __name__ == "__main__":
    main()
