"""Draw which pixels a variant's decisions rest on, and score the maps beside controls."""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from squeezed.data import open_dataset
from squeezed.explain.attribution import predictions
from squeezed.explain.cam import (
    Pictures,
    agreement,
    attribution_maps,
    map_scores,
    randomisation_fields,
    randomisation_test,
)
from squeezed.explain.image_scores import check_same_images, read_scores, summary, write_scores
from squeezed.explain.objects import object_masks
from squeezed.explain.selection import choose_images
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.files import atomic_path
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.networks.network_file import load_model


@script_main
def main() -> None:
    """Parse the arguments, make the maps, score and write."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings, section, seed = arguments.settings, arguments.settings["cam"], arguments.seed
    torch.set_num_threads(settings["threads"])
    device = resolve_device(settings["device"])
    inputs = {"model": arguments.model, "dataset": arguments.dataset}
    if arguments.baseline:
        inputs |= {"baseline": arguments.baseline, "baseline_images": arguments.baseline_images}
    if section["masks"]:
        inputs["masks"] = Path(section["masks"])
    provenance = Provenance(
        inputs=inputs,
        settings=settings,
        seed=seed,
        device=device_name(device),
        threads=settings["threads"],
    )

    dataset = open_dataset(arguments.dataset)
    indices = choose_images(dataset, section["images"], seed)
    labels = np.asarray(dataset.test.labels)[indices]
    pixels = dataset.test.images(indices)
    masks = object_masks(
        section["object"],
        pixels,
        indices,
        test_images=len(dataset.test),
        masks_path=section["masks"],
    )
    model = load_model(arguments.model)[0].to(device)
    images = torch.from_numpy(pixels).to(device)
    predicted, probability = predictions(model, images)
    pictures = Pictures(images, predicted)

    layer = section["layer"]
    maps = {
        method: attribution_maps(model, pictures, method, layer) for method in section["methods"]
    }
    scores = map_scores(
        model,
        pictures,
        maps,
        masks,
        mean_colour=dataset.mean,
        steps=section["steps"],
        seed=seed,
    )
    metrics = {"n_images": len(indices), "object": section["object"]}
    if masks is not None:
        metrics["object_area_share"] = float(masks.mean())
    baseline_maps, baseline_scores = maps, None
    if arguments.baseline:
        baseline_maps = load_file(arguments.baseline)
        check_same_images(indices, baseline_maps["indices"])
        baseline_scores = read_scores(arguments.baseline_images)
    metrics |= summary(scores, baseline_scores, seed=seed)
    agreements = agreement(maps, baseline_maps, pictures, seed=seed)
    metrics |= summary(agreements, None, seed=seed)

    few = slice(section["randomisation_images"])
    first_maps = {method: values[few] for method, values in maps.items()}
    test = randomisation_test(
        model, Pictures(images[few], predicted[few]), first_maps, layer=layer, seed=seed
    )
    metrics |= randomisation_fields(test, first_maps, seed=seed)

    with atomic_path(arguments.maps) as temporary:
        arrays = {method: values.astype(np.float16) for method, values in maps.items()}
        arrays |= {"indices": indices, "labels": labels}
        arrays |= {
            "predictions": predicted.cpu().numpy(),
            "probabilities": probability.cpu().numpy(),
        }
        save_file(arrays, temporary)
    columns = {"index": indices, "label": labels, "prediction": arrays["predictions"]}
    columns |= {"probability": arrays["probabilities"], **scores, **agreements}
    write_scores(arguments.images, columns)
    write_result(arguments.result, metrics, provenance=provenance.finish())


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model", required=True, type=Path, help="the variant's model")
    add("--dataset", required=True, type=Path, help="the prepared data set")
    add(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's cam, device and threads, as JSON",
    )
    add("--seed", required=True, type=int, help="of the choice of images and of every control")
    add(
        "--baseline",
        nargs="?",
        type=Path,
        help="the baseline's maps, to compare with; none for the baseline itself",
    )
    add("--baseline-images", nargs="?", type=Path, help="the baseline's scores of each image")
    add("--maps", required=True, type=Path, help="the maps to write (safetensors)")
    add("--images", required=True, type=Path, help="each image's scores, to write (CSV)")
    add("--result", required=True, type=Path, help="the metrics to write (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
