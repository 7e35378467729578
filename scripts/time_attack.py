"""Time the attack of Table II on one variant. Run it alone: it measures time."""

import argparse
from pathlib import Path

import torch

from squeezed.attacks.configured import protocol_of, victim_of
from squeezed.attacks.timing import time_attack
from squeezed.checkpoint import load_model
from squeezed.cli import script_main, settings_json
from squeezed.data import choose_indices, open_dataset
from squeezed.device import device_name, resolve_device
from squeezed.provenance import Provenance
from squeezed.results import write_result


@script_main
def main() -> None:
    """Parse the arguments, time and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="the variant to attack")
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the section of the attack to time, attack_timing, device and threads, as JSON",
    )
    parser.add_argument("--result", required=True, type=Path, help="the times to write (JSON)")
    arguments = parser.parse_args()

    settings = arguments.settings
    attack, timing = settings["attack"], settings["attack_timing"]
    torch.set_num_threads(settings["threads"])
    device = resolve_device(settings["device"])
    provenance = Provenance(
        inputs={"model": arguments.model, "dataset": arguments.dataset},
        settings=settings,
        device=device_name(device),
        threads=settings["threads"],
    )
    model, _ = load_model(arguments.model)
    test = open_dataset(arguments.dataset).test
    indices = choose_indices(len(test), timing["images"], attack["images_seed"])
    measured = time_attack(
        victim_of(model, attack, device),
        torch.from_numpy(test.images(indices)),
        torch.from_numpy(test.labels[indices]),
        protocol_of(attack),
        repeats=timing["repeats"],
    )
    n_timed = measured.pop("n_timed")
    write_result(
        arguments.result,
        {"n_timed": n_timed, "iterations": attack["iterations"]},
        measured=measured,
        provenance=provenance.finish(),
    )


if __name__ == "__main__":
    main()
