"""Evaluate one exported variant beside its baseline: accuracy, size, memory."""

import argparse
import logging
from pathlib import Path

from squeezed.data import open_dataset
from squeezed.evaluation.evaluation import Files, evaluate
from squeezed.evaluation.predictions import write_classes, write_predictions
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.graphs.layers import write_layers


@script_main
def main() -> None:
    """Parse the arguments, evaluate and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="the variant (.safetensors)")
    parser.add_argument("--onnx", required=True, type=Path, help="the variant, exported")
    parser.add_argument(
        "--baseline-onnx",
        required=True,
        type=Path,
        help="the baseline, exported (the same file as --onnx for the baseline itself)",
    )
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's batch_size and threads, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="of the model, for the record")
    parser.add_argument("--result", required=True, type=Path, help="the metrics to write (JSON)")
    parser.add_argument("--predictions", required=True, type=Path, help="to write (CSV)")
    parser.add_argument("--classes", required=True, type=Path, help="to write (CSV)")
    parser.add_argument("--layers", required=True, type=Path, help="to write (CSV)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    settings = arguments.settings
    provenance = Provenance(
        inputs={
            "model": arguments.model,
            "onnx": arguments.onnx,
            "baseline_onnx": arguments.baseline_onnx,
            "dataset": arguments.dataset,
        },
        settings=settings,
        seed=arguments.seed,
        threads=settings["threads"],
    )
    dataset = open_dataset(arguments.dataset)
    split = dataset.test
    evaluation = evaluate(
        Files(arguments.model, arguments.onnx, arguments.baseline_onnx),
        split,
        batch_size=settings["batch_size"],
        threads=settings["threads"],
    )
    baseline = evaluation.baseline_predictions
    predictions = evaluation.logits.argmax(axis=1)
    write_predictions(arguments.predictions, split.labels, evaluation.logits, baseline)
    write_classes(arguments.classes, dataset.class_names, split.labels, predictions, baseline)
    write_layers(arguments.layers, evaluation.layers)
    write_result(
        arguments.result,
        evaluation.metrics,
        measured=evaluation.measured,
        provenance=provenance.finish(),
    )


if __name__ == "__main__":
    main()
