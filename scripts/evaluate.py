"""Evaluate one variant's graph beside the baseline's: what it predicts, weighs and knows."""

from squeezed.data import open_dataset
from squeezed.evaluation.calibration import calibration_metrics, write_reliability
from squeezed.evaluation.classes import class_changes, class_metrics, write_classes
from squeezed.evaluation.evaluation import evaluate
from squeezed.evaluation.predictions import write_predictions
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
            "reliability": one("the reliability diagrams, to write (CSV)"),
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
        held_out=dataset.validation,
        **job.settings["evaluation"],
    )
    logits, baseline = evaluation.logits, evaluation.baseline_predictions
    write_predictions(job.output["predictions"], split.labels, logits, baseline)
    changes = class_changes(dataset.class_names, split.labels, logits.argmax(axis=1), baseline)
    write_classes(job.output["classes"], changes)
    held_out = None
    if evaluation.held_out_logits is not None:
        held_out = evaluation.held_out_logits, dataset.validation.labels
    calibration = calibration_metrics(logits, split.labels, held_out)
    write_reliability(job.output["reliability"], logits, split.labels, calibration["temperature"])
    write_layers(job.output["layers"], evaluation.layers)
    metrics = {**evaluation.metrics, **calibration}
    if job.input["baseline"]:
        metrics |= class_metrics(changes)
    job.write(metrics, measured=evaluation.measured)


if __name__ == "__main__":
    main()
