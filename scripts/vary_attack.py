"""Run an attack again with single settings changed, to see how much each of them matters."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from squeezed.attacks.configured import attack_images, table_of, victim_of
from squeezed.attacks.outcome import attack_metrics, write_table
from squeezed.data import choose_indices, open_dataset
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.errors import UserError
from squeezed.foundation.progress import track
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.networks.network_file import load_model

SHOWN = (
    "accuracy_after",
    "success_rate",
    "success_rate_rounded",
    "confidence_before",
    "confidence_after",
    "confidence_after_best",
    "l2_median",
    "max_abs_change",
    "iterations_mean",
)


@script_main
def main() -> None:
    """Parse the arguments, attack once for each variation and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="the variant to attack")
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the section of the attack to vary, attack_variations, device and threads, as JSON",
    )
    parser.add_argument("--result", required=True, type=Path, help="the metrics to write (JSON)")
    parser.add_argument("--table", required=True, type=Path, help="the variations, to write (CSV)")
    arguments = parser.parse_args()

    settings = arguments.settings
    attack, variations = settings["attack"], settings["attack_variations"]
    torch.set_num_threads(settings["threads"])
    device = resolve_device(settings["device"])
    provenance = Provenance(
        inputs={"model": arguments.model, "dataset": arguments.dataset},
        settings=settings,
        device=device_name(device),
        threads=settings["threads"],
    )
    model, card = load_model(arguments.model)
    test = open_dataset(arguments.dataset).test
    indices = choose_indices(len(test), variations["images"], attack["images_seed"])
    rows = []
    for name, changes in track(
        {"as_configured": {}, **variations["changes"]}.items(), f"vary the attack on {card.variant}"
    ):
        varied = _changed(attack, name, changes)
        tensors = attack_images(
            victim_of(model, varied, device), test, indices, varied, len(card.class_names)
        )
        rows.append((name, changes, attack_metrics(table_of(tensors))))
    write_table(
        arguments.table,
        {
            "variation": np.array([name for name, _, _ in rows]),
            "changes": np.array([json.dumps(changes) for _, changes, _ in rows]),
            **{key: _column([metrics[key] for _, _, metrics in rows]) for key in SHOWN},
        },
    )
    flat = {f"{name}_{key}": metrics[key] for name, _, metrics in rows for key in SHOWN}
    counts = {key: rows[0][2][key] for key in ("n_images", "n_attackable")}
    write_result(arguments.result, {**counts, **flat}, provenance=provenance.finish())


def _changed(attack: dict[str, Any], name: str, changes: dict[str, Any]) -> dict[str, Any]:
    unknown = set(changes) - set(attack)
    if unknown:
        raise UserError(
            f"config.yaml: attack_variations.changes.{name} has an unknown key "
            f"{sorted(unknown)[0]!r}; choose from {', '.join(sorted(attack))}"
        )
    return {**attack, **changes}


def _column(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


if __name__ == "__main__":
    main()
