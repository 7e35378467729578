"""Quantize a model to 8 bits: all layers, or only the fully connected ones."""

import argparse
import dataclasses
import logging
from pathlib import Path

import torch

from squeezed.data import choose_indices, open_dataset
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.files import sha256_of
from squeezed.foundation.progress import track
from squeezed.networks.network_file import load_model, save_model
from squeezed.networks.quantized import SCHEMES
from squeezed.steps.quantization import quantize_linear_layers, quantize_model

CALIBRATION_PIXELS = 2**20
"""Of one batch: 1,024 images of 32×32, 20 of 224×224. Bounds the memory of the activations."""


@script_main
def main() -> None:
    """Parse the arguments, quantize and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", required=True, type=Path, help="the model to quantize")
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--scheme",
        required=True,
        choices=SCHEMES,
        help="static: every layer, ranges calibrated on training images; "
        "dynamic: the fully connected layers, ranges taken from each batch",
    )
    parser.add_argument("--variant", required=True, help="the new model's variant")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's quantization and threads, as JSON",
    )
    parser.add_argument("--seed", required=True, type=int, help="of the calibration images")
    parser.add_argument("--model", required=True, type=Path, help="the model to write")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    settings = arguments.settings
    torch.set_num_threads(settings["threads"])
    parent, card = load_model(arguments.parent)
    centred = settings["quantization"]["weight_range"] == "centred"
    if arguments.scheme == "static":
        split = open_dataset(arguments.dataset).train
        count = settings["quantization"]["calibration_images"]
        indices = choose_indices(len(split), count, arguments.seed)
        batch = max(1, CALIBRATION_PIXELS // (card.image_size[0] * card.image_size[1]))
        batches = track(split.batches(batch, indices), "calibrate", total=-(-len(indices) // batch))
        images = (torch.from_numpy(images) for images, _ in batches)
        model, description = quantize_model(parent, images, centred=centred)
    else:
        model, description = quantize_linear_layers(parent, centred=centred)
    save_model(
        arguments.model,
        model,
        dataclasses.replace(
            card,
            variant=arguments.variant,
            seed=arguments.seed,
            settings=settings,
            parents={card.variant: sha256_of(arguments.parent)},
            quantization=description,
        ),
    )


if __name__ == "__main__":
    main()
