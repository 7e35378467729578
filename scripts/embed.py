"""Read a variant's features of the chosen test images, and score how they separate the classes."""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from squeezed.data import open_dataset
from squeezed.explain.embedding_scores import (
    check_classes,
    likeness,
    pixel_features,
    separation_scores,
)
from squeezed.explain.image_scores import check_same_images, read_scores, summary, write_scores
from squeezed.explain.layers import embed, feature_layer
from squeezed.explain.selection import choose_images
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.files import atomic_path
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.networks.network_file import load_model


@script_main
def main() -> None:
    """Parse the arguments, embed the images, score and write."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings, section, seed = arguments.settings, arguments.settings["embedding"], arguments.seed
    torch.set_num_threads(settings["threads"])
    device = resolve_device(settings["device"])
    inputs = {"model": arguments.model, "dataset": arguments.dataset}
    if arguments.baseline:
        inputs |= {"baseline": arguments.baseline, "baseline_images": arguments.baseline_images}
    provenance = Provenance(
        inputs=inputs,
        settings=settings,
        seed=seed,
        device=device_name(device),
        threads=settings["threads"],
    )

    dataset = open_dataset(arguments.dataset)
    indices = choose_images(dataset, section["images"], seed, section["classes"])
    labels = np.asarray(dataset.test.labels)[indices]
    check_classes(labels, dataset.class_names, section["neighbours"])

    model = load_model(arguments.model)[0].to(device)
    first = torch.from_numpy(dataset.test.images(indices[:1])).to(device)
    layer = feature_layer(model, first, section["layer"])
    features, predictions = embed(model, layer, dataset.test, indices, device)

    scores = separation_scores(features, labels, neighbours=section["neighbours"], seed=seed)
    metrics = {
        "n_images": len(indices),
        "n_classes": len(np.unique(labels)),
        "n_features": features.shape[1],
        "layer": f"{layer.side} of {layer.name}",
        "largest_class_share": float(np.bincount(labels).max() / len(labels)),
    }
    if arguments.baseline:
        baseline = load_file(arguments.baseline)
        check_same_images(indices, baseline["indices"])
        metrics |= summary(scores, read_scores(arguments.baseline_images), seed=seed)
        metrics |= likeness(features, baseline["features"], seed=seed)
    else:
        metrics |= summary(scores, None, seed=seed)
        metrics |= likeness(features, features, seed=seed)
        pixels = pixel_features(dataset.test.images(indices))
        control = separation_scores(pixels, labels, neighbours=section["neighbours"], seed=seed)
        metrics |= summary({f"pixels_{name}": s for name, s in control.items()}, None, seed=seed)

    with atomic_path(arguments.features) as temporary:
        save_file(
            {
                "features": features,
                "indices": indices,
                "labels": labels,
                "predictions": predictions,
            },
            temporary,
        )
    write_scores(
        arguments.images,
        {"index": indices, "label": labels, "prediction": predictions, **scores},
    )
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
        help="the experiment's embedding, device and threads, as JSON",
    )
    add("--seed", required=True, type=int, help="of the choice of images and of resampling")
    add(
        "--baseline",
        nargs="?",
        type=Path,
        help="the baseline's features, to compare with; none for the baseline itself",
    )
    add("--baseline-images", nargs="?", type=Path, help="the baseline's scores of each image")
    add("--features", required=True, type=Path, help="the features to write (safetensors)")
    add("--images", required=True, type=Path, help="each image's scores, to write (CSV)")
    add("--result", required=True, type=Path, help="the metrics to write (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
