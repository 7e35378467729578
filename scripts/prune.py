"""Prune a baseline by L1 rank and train what is left."""

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
from squeezed.steps.pruning_search import prune_and_recover, write_trials


@script_main
def main() -> None:
    """Parse the arguments, prune, recover, and write the model and how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", required=True, type=Path, help="the model to prune")
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's pruning, device and threads, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="of the recovery training")
    parser.add_argument("--model", required=True, type=Path, help="the model to write")
    parser.add_argument("--result", required=True, type=Path, help="the metrics to write (JSON)")
    parser.add_argument("--history", required=True, type=Path, help="each epoch, to write (CSV)")
    parser.add_argument("--search", required=True, type=Path, help="amounts tried, to write (CSV)")
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
    pruned = prune_and_recover(
        parent,
        open_dataset(arguments.dataset),
        settings["pruning"],
        seed=arguments.seed,
        device=settings["device"],
        threads=settings["threads"],
        resume_path=arguments.model.with_name(f".{arguments.model.stem}.resume.safetensors"),
    )
    save_model(
        arguments.model,
        pruned.model,
        dataclasses.replace(
            card,
            variant="pruned",
            seed=arguments.seed,
            settings=settings,
            parents={card.variant: sha256_of(arguments.parent)},
        ),
    )
    pruned.training.write_history(arguments.history)
    write_trials(arguments.search, pruned.trials)
    masked = sum(int((~mask).sum()) for mask in pruned.masks.values())
    prunable = sum(mask.numel() for mask in pruned.masks.values())
    metrics = {
        **pruned.training.metrics(),
        "amount": pruned.amount,
        "parent_validation_accuracy": pruned.parent_validation_accuracy,
        "pruned_weights": masked,
        "prunable_weights": prunable,
        "trials": len(pruned.trials),
    }
    write_result(arguments.result, metrics, provenance=provenance.finish())


if __name__ == "__main__":
    main()
