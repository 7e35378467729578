"""Evaluate one variant's graph beside the baseline's: accuracy, size, memory, layer by layer."""

from squeezed.data import open_dataset
from squeezed.evaluation.evaluation import evaluate
from squeezed.evaluation.predictions import write_classes, write_predictions
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one, optional
from squeezed.graphs.layers import write_layers


@script_main
def main() -> None:
    """Evaluate and write the results."""
    job = Job(
        __doc__,
        inputs={
            "graph": one("the variant (.onnx)"),
            "baseline": optional("the baseline's graph; none for the baseline itself"),
            "dataset": one("the prepared data set"),
        },
        outputs={
            "predictions": one("each image's prediction, to write (CSV)"),
            "classes": one("each class's figures, to write (CSV)"),
            "layers": one("what each layer holds, to write (CSV)"),
        },
        settings="the evaluation's batch_size and engines, and the experiment's threads",
    )
    dataset = open_dataset(job.input["dataset"])
    split = dataset.test
    evaluation = evaluate(
        job.input["graph"],
        job.input["baseline"] or job.input["graph"],
        split,
        threads=job.threads,
        **job.settings["evaluation"],
    )
    baseline = evaluation.baseline_predictions
    predictions = evaluation.logits.argmax(axis=1)
    write_predictions(job.output["predictions"], split.labels, evaluation.logits, baseline)
    write_classes(job.output["classes"], dataset.class_names, split.labels, predictions, baseline)
    write_layers(job.output["layers"], evaluation.layers)
    job.write(evaluation.metrics, measured=evaluation.measured)


if __name__ == "__main__":
    main()
