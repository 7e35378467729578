"""Draw a variant's features as t-SNE maps, and score how far the maps can be trusted."""

import argparse
import logging
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from squeezed.explain.image_scores import check_same_images, read_scores, summary, write_scores
from squeezed.explain.map_scores import score_maps, spread_fields
from squeezed.explain.tsne import align, tsne_maps
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result


@script_main
def main() -> None:
    """Parse the arguments, make the maps, score and write."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings, section, seed = arguments.settings, arguments.settings["tsne"], arguments.seed
    inputs = {"features": arguments.features}
    if arguments.baseline:
        inputs["baseline"] = arguments.baseline
    provenance = Provenance(
        inputs=inputs, settings=settings, seed=seed, threads=settings["threads"]
    )

    embedding = load_file(arguments.features)
    features, labels = embedding["features"], embedding["labels"]
    maps = tsne_maps(
        features,
        perplexity=section["perplexity"],
        random_runs=section["random_runs"],
        seed=seed,
        threads=settings["threads"],
    )
    drawn, *runs = score_maps(
        features, [maps.drawn, *maps.random_runs], labels, section["neighbours"]
    )

    metrics = {"n_images": len(labels), "n_random_runs": len(runs)}
    points = maps.drawn
    baseline = None
    if arguments.baseline:
        baseline = read_scores(arguments.baseline)
        check_same_images(embedding["indices"], baseline["index"])
        target = np.column_stack([baseline["x"], baseline["y"]])
        points, metrics["procrustes_disparity"] = align(points, target)
    metrics |= summary(drawn, baseline, seed=seed)
    metrics |= spread_fields(runs)

    write_scores(
        arguments.map,
        {
            "index": embedding["indices"],
            "label": labels,
            "prediction": embedding["predictions"],
            "x": points[:, 0],
            "y": points[:, 1],
            **drawn,
        },
    )
    write_result(arguments.result, metrics, provenance=provenance.finish())


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--features", required=True, type=Path, help="the variant's features, as embed wrote them")
    add(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's tsne and threads, as JSON",
    )
    add("--seed", required=True, type=int, help="of the maps and of resampling")
    add(
        "--baseline",
        nargs="?",
        type=Path,
        help="the baseline's map, to align with; none for the baseline itself",
    )
    add("--map", required=True, type=Path, help="each image's place and scores, to write (CSV)")
    add("--result", required=True, type=Path, help="the metrics to write (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
