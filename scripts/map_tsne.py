"""Draw a variant's features as t-SNE maps, and score how far the maps can be trusted."""

import numpy as np
from safetensors.numpy import load_file

from squeezed.data.fitness import neighbours_for, perplexity_for
from squeezed.explain.image_scores import check_same_images, read_scores, summary, write_scores
from squeezed.explain.map_scores import score_maps, spread_fields
from squeezed.explain.tsne import align, tsne_maps
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one, optional


@script_main
def main() -> None:
    """Make the maps, score and write."""
    job = Job(
        __doc__,
        inputs={
            "features": one("the variant's features, as embed wrote them"),
            "baseline": optional("the baseline's map, to align with; none for itself"),
        },
        outputs={"map": one("each image's place and scores, to write (CSV)")},
        settings="the experiment's tsne and threads",
        seed="of the maps and of resampling",
    )
    section, seed = job.settings["tsne"], job.seed
    embedding = load_file(job.input["features"])
    features, labels = embedding["features"], embedding["labels"]
    perplexity = perplexity_for(section["perplexity"], len(features))
    neighbours = neighbours_for(section["neighbours"], len(features), in_map=True)
    maps = tsne_maps(
        features,
        perplexity=perplexity,
        random_runs=section["random_runs"],
        seed=seed,
        threads=job.threads,
    )
    drawn, *runs = score_maps(features, [maps.drawn, *maps.random_runs], labels, neighbours)

    metrics: dict[str, float | None] = {
        "n_images": len(labels),
        "n_random_runs": len(runs),
        "perplexity": perplexity,
        "neighbours": neighbours,
    }
    points = maps.drawn
    baseline = None
    if job.input["baseline"]:
        baseline = read_scores(job.input["baseline"])
        check_same_images(embedding["indices"], baseline["index"])
        target = np.column_stack([baseline["x"], baseline["y"]])
        points, metrics["procrustes_disparity"] = align(points, target)
    metrics |= summary(drawn, baseline, seed=seed)
    metrics |= spread_fields(runs)

    write_scores(
        job.output["map"],
        {
            "index": embedding["indices"],
            "label": labels,
            "prediction": embedding["predictions"],
            "x": points[:, 0],
            "y": points[:, 1],
            **drawn,
        },
    )
    job.write(metrics)


if __name__ == "__main__":
    main()
