"""Find the images on which compression changes what networks say, beyond what a new seed does."""

import csv

import numpy as np

from squeezed.configuration.recipes import BASELINE
from squeezed.evaluation.exemplars import compare_seeds, write_exemplars
from squeezed.foundation.cli import script_main
from squeezed.foundation.job import Job, one, several


@script_main
def main() -> None:
    """Compare, and write the result."""
    job = Job(
        __doc__,
        inputs={"predictions": several("predictions.csv of all seeds and variants")},
        outputs={"exemplars": one("the compression-identified images, to write (CSV)")},
        settings="the experiment's seeds and the names of its variants",
    )
    by_variant: dict[str, list[np.ndarray]] = {name: [] for name in job.settings["variants"]}
    labels = np.array([], dtype=np.int64)
    # In the order that the rule gives them: seed by seed, variant by variant.
    paths = iter(job.input["predictions"])
    for _ in job.settings["seeds"]:
        for name in job.settings["variants"]:
            with next(paths).open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            labels = np.array([int(row["label"]) for row in rows])
            by_variant[name].append(np.array([int(row["prediction"]) for row in rows]))
    predictions = {name: np.stack(of_seeds) for name, of_seeds in by_variant.items()}
    write_exemplars(job.output["exemplars"], labels, predictions, BASELINE)
    job.write(compare_seeds(labels, predictions, BASELINE))


if __name__ == "__main__":
    main()
