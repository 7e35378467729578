"""Train an experiment's baseline."""

import argparse
import logging
from pathlib import Path

from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.files import sha256_of
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.foundation.source_stamp import own_weights, source_stamp
from squeezed.networks import create_classifier
from squeezed.networks.network_file import ModelCard, save_model
from squeezed.training.loop import train


@script_main
def main() -> None:
    """Parse the arguments, train and write the model and how the training went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's architecture, training, device and threads, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="of the weights and the batches")
    parser.add_argument("--model", required=True, type=Path, help="the model to write")
    parser.add_argument("--result", required=True, type=Path, help="the metrics to write (JSON)")
    parser.add_argument("--history", required=True, type=Path, help="each epoch, to write (CSV)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    settings = arguments.settings
    architecture = settings["architecture"]
    weights = own_weights(architecture["weights"])
    inputs = {"dataset": arguments.dataset}
    # What results and models show: the weights' name and SHA-256, not their place on this machine.
    shown = settings
    if weights is not None and Path(weights).is_file():
        inputs["weights"] = Path(weights)
        shown = {**settings, "architecture": {**architecture, "weights": Path(weights).name}}
    provenance = Provenance(
        inputs=inputs,
        settings=shown,
        seed=arguments.seed,
        device=device_name(resolve_device(settings["device"])),
        threads=settings["threads"],
    )
    dataset = open_dataset(arguments.dataset)
    model = create_classifier(architecture, dataset, seed=arguments.seed)
    result = train(
        model,
        dataset,
        settings["training"],
        seed=arguments.seed,
        device=settings["device"],
        threads=settings["threads"],
        resume_path=arguments.model.with_name(f".{arguments.model.stem}.resume.safetensors"),
    )
    parents = {"dataset": dataset.digest}
    if weights is not None:
        parents["weights"] = sha256_of(weights)
    card = ModelCard(
        architecture=architecture["name"],
        arguments=architecture["arguments"],
        image_size=dataset.image_size,
        class_names=dataset.class_names,
        mean=dataset.mean,
        std=dataset.std,
        variant="baseline",
        seed=arguments.seed,
        settings=shown,
        parents=parents,
    )
    save_model(arguments.model, model, card)
    result.write_history(arguments.history)
    stamp = source_stamp(weights, arguments.result)
    metrics = {**result.metrics(), "weights_stamp": stamp}
    write_result(arguments.result, metrics, provenance=provenance.finish())


if __name__ == "__main__":
    main()
