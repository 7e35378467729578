"""Compare an imported graph with the baseline's, layer by layer: precision, and where they part."""

import numpy as np

from squeezed.comparison.divergence import IMAGES
from squeezed.comparison.graphs_apart import graphs_apart
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import atomic_path
from squeezed.foundation.job import Job, one


@script_main
def main() -> None:
    """Run both on the same test images, and write what was found of each layer."""
    job = Job(
        __doc__,
        inputs={
            "graph": one("the imported variant (.onnx)"),
            "baseline": one("the baseline's graph"),
            "dataset": one("the prepared data set"),
        },
        outputs={"layers": one("what was found of each layer, to write (CSV)")},
        settings="the experiment's threads",
    )
    split = open_dataset(job.input["dataset"]).test
    # Evenly over all classes, which may stand in a row.
    chosen = np.unique(np.linspace(0, len(split) - 1, IMAGES).astype(int))
    images = split.images(chosen)
    found = graphs_apart(job.input["graph"], job.input["baseline"], images, job.threads)
    with atomic_path(job.output["layers"]) as temporary:
        found.layers.to_csv(temporary, index=False, lineterminator="\n")
    job.write(found.metrics)


if __name__ == "__main__":
    main()
