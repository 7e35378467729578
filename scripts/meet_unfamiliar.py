"""Show one variant's graph images of another data set: does it notice that they are of no class?"""

import numpy as np

from squeezed.data import Split, choose_indices, open_dataset
from squeezed.evaluation.unfamiliar import (
    Scores,
    UnfamiliarSettings,
    familiarity,
    read_scores,
    resized,
    unfamiliar_metrics,
    write_scores,
)
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one, optional
from squeezed.graphs.engines import engines_of, open_engine

BATCH_SIZE = 100


@script_main
def main() -> None:
    """Score the images and write the results."""
    job = Job(
        __doc__,
        inputs={
            "graph": one("the variant (.onnx)"),
            "baseline": optional("the baseline's scores (CSV); none for the baseline itself"),
            "dataset": one("the prepared data set"),
            "unfamiliar": one("the other prepared data set"),
        },
        outputs={"scores": one("each image's scores, to write (CSV)")},
        settings="the experiment's unfamiliar and threads",
    )
    settings = job.section("unfamiliar", UnfamiliarSettings)
    dataset, other = open_dataset(job.input["dataset"]), open_dataset(job.input["unfamiliar"])
    graph = job.input["graph"]
    engine = open_engine(graph, job.threads, engines_of(graph, ())[0])

    def scores_of(split: Split) -> dict[str, np.ndarray]:
        chosen = choose_indices(len(split), settings.images, settings.images_seed)
        batches = (images for images, _ in split.batches(BATCH_SIZE, chosen))
        fitting = (resized(images, dataset.image_size) for images in batches)
        return familiarity(engine.predict_batches(fitting))

    own = Scores(scores_of(dataset.test), scores_of(other.test))
    baseline = read_scores(job.input["baseline"]) if job.input["baseline"] else None
    metrics = unfamiliar_metrics(own, baseline)
    write_scores(job.output["scores"], own)
    named = {"unfamiliar_dataset": other.name, "unfamiliar_source_kind": other.source["kind"]}
    job.write({**named, **metrics})


if __name__ == "__main__":
    main()
