"""Time the attack of Table II on the variants of one seed. Run it alone: it measures time."""

import argparse
from pathlib import Path

import torch

from squeezed.attacks.configured import protocol_of, victim_of
from squeezed.attacks.timing import time_attack
from squeezed.data import choose_indices, open_dataset
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.networks.network_file import load_model


@script_main
def main() -> None:
    """Parse the arguments, time and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models",
        required=True,
        nargs="+",
        type=Path,
        help="the variants to attack, named as they are: baseline.safetensors and so on",
    )
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
    models = {path.stem: path for path in arguments.models}
    provenance = Provenance(
        inputs={**models, "dataset": arguments.dataset},
        settings=settings,
        device=device_name(device),
        threads=settings["threads"],
    )
    victims = {
        name: victim_of(load_model(path)[0], attack, device) for name, path in models.items()
    }
    test = open_dataset(arguments.dataset).test
    indices = choose_indices(len(test), timing["images"], attack["images_seed"])
    times = time_attack(
        victims,
        torch.from_numpy(test.images(indices)),
        torch.from_numpy(test.labels[indices]),
        protocol_of(attack),
        repeats=timing["repeats"],
    )
    write_result(
        arguments.result,
        {"iterations": attack["iterations"], "repeats": timing["repeats"]},
        measured={"variants": times},
        provenance=provenance.finish(),
    )


if __name__ == "__main__":
    main()
