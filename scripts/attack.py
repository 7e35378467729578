"""Attack one variant with one configured Carlini-Wagner protocol (Table II)."""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from squeezed.attacks.configured import attack_images, table_of, victim_of
from squeezed.attacks.finished_batches import FinishedBatches
from squeezed.attacks.outcome import attack_metrics, robust_accuracy_curve, write_table
from squeezed.data import choose_indices, open_dataset
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.code_digest import code_digest
from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.files import atomic_path, sha256_of
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.networks.network_file import load_model

ROOT = Path(__file__).resolve().parent.parent


@script_main
def main() -> None:
    """Parse the arguments, attack batch by batch, and write the result and what it is read from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="the variant to attack")
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the attack's section, and the experiment's device and threads, as JSON",
    )
    parser.add_argument("--result", required=True, type=Path, help="the metrics to write (JSON)")
    parser.add_argument("--images", required=True, type=Path, help="each image, to write (CSV)")
    parser.add_argument(
        "--curve", required=True, type=Path, help="robust accuracy against L2, to write (CSV)"
    )
    parser.add_argument(
        "--tensors",
        required=True,
        type=Path,
        help="the nearest adversarial images and the last iterates, to write (safetensors)",
    )
    arguments = parser.parse_args()

    settings = arguments.settings
    attack = settings["attack"]
    torch.set_num_threads(settings["threads"])
    device = resolve_device(settings["device"])
    provenance = Provenance(
        inputs={"model": arguments.model, "dataset": arguments.dataset},
        settings=settings,
        device=device_name(device),
        threads=settings["threads"],
    )
    model, card = load_model(arguments.model)
    victim = victim_of(model, attack, device)
    test = open_dataset(arguments.dataset).test
    indices = choose_indices(len(test), attack["images"], attack["images_seed"])
    size = attack["batch_size"]
    finished = FinishedBatches(
        arguments.result,
        {
            "model": sha256_of(arguments.model),
            "dataset": sha256_of(arguments.dataset),
            "settings": settings,
            "device": device_name(device),
            "code": code_digest(Path(__file__).resolve(), ROOT, [ROOT / "requirements.txt"]),
        },
    )
    tensors = finished.run(
        [indices[start : start + size] for start in range(0, len(indices), size)],
        lambda batch: attack_images(victim, test, batch, attack, len(card.class_names)),
        f"attack {card.variant}, batches of {size} images",
    )
    table = table_of(tensors)
    write_table(arguments.images, table)
    write_table(arguments.curve, robust_accuracy_curve(table))
    with atomic_path(arguments.tensors) as temporary:
        save_file({"best": tensors["best"], "last": tensors["last"]}, temporary)
    write_result(arguments.result, attack_metrics(table), provenance=provenance.finish())
    finished.remove()


if __name__ == "__main__":
    main()
