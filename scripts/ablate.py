"""Remove a baseline's last convolutions and retrain its fully connected layers."""

import argparse
import dataclasses
import logging
from pathlib import Path

from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.files import sha256_of
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.networks.network_file import load_model, save_model
from squeezed.steps.ablation import ablate_convolutions
from squeezed.training.loop import train


@script_main
def main() -> None:
    """Parse the arguments, ablate, recover, and write the model and how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", required=True, type=Path, help="the model to ablate")
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's ablation, device and threads, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="of new weights and the recovery")
    parser.add_argument("--model", required=True, type=Path, help="the model to write")
    parser.add_argument("--result", required=True, type=Path, help="the metrics to write (JSON)")
    parser.add_argument("--history", required=True, type=Path, help="each epoch, to write (CSV)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    settings = arguments.settings
    provenance = Provenance(
        inputs={"parent": arguments.parent, "dataset": arguments.dataset},
        settings=settings,
        seed=arguments.seed,
        device=device_name(resolve_device(settings["device"])),
        threads=settings["threads"],
    )
    parent, card = load_model(arguments.parent)
    count = settings["ablation"]["convolutions"]
    model, trainable = ablate_convolutions(parent, count, card.image_size, arguments.seed)
    training = train(
        model,
        open_dataset(arguments.dataset),
        settings["ablation"]["recovery"],
        seed=arguments.seed,
        device=settings["device"],
        threads=settings["threads"],
        trainable=trainable,
        resume_path=arguments.model.with_name(f".{arguments.model.stem}.resume.safetensors"),
    )
    save_model(
        arguments.model,
        model,
        dataclasses.replace(
            card,
            variant="ablated",
            seed=arguments.seed,
            settings=settings,
            parents={card.variant: sha256_of(arguments.parent)},
            ablated_convolutions=card.ablated_convolutions + count,
        ),
    )
    training.write_history(arguments.history)
    metrics = {**training.metrics(), "ablated_convolutions": count}
    write_result(arguments.result, metrics, provenance=provenance.finish())


if __name__ == "__main__":
    main()
