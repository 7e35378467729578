"""Time the graphs of one seed side by side. Run it alone: it measures time."""

from squeezed.configuration.recipes import BASELINE
from squeezed.data import open_dataset
from squeezed.evaluation.inference_timing import time_inference
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one, several


@script_main
def main() -> None:
    """Time and write the result."""
    job = Job(
        __doc__,
        inputs={
            "graphs": several("the variants, named as they are: baseline.onnx, and others"),
            "dataset": one("the prepared data set"),
        },
        outputs={},
        settings="the experiment's evaluation and threads",
    )
    graphs = {path.stem: path for path in job.input["graphs"]}
    if BASELINE not in graphs:
        job.parser.error(f"--graphs needs {BASELINE}.onnx, which the others are compared with")
    settings = job.settings["evaluation"]
    times = time_inference(
        graphs,
        open_dataset(job.input["dataset"]).test,
        baseline=BASELINE,
        threads=job.threads,
        **settings,
    )
    exact = {name: value for name, value in settings.items() if name != "engines"}
    job.write(exact, measured={"variants": times})


if __name__ == "__main__":
    main()
