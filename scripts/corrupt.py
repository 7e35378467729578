"""Run one variant's graph on corrupted images: noise, blur, weather, compression."""

import csv

import numpy as np

from squeezed.corruptions.measure import (
    CorruptionSettings,
    Predictions,
    corruption_metrics,
    predict_corrupted,
)
from squeezed.corruptions.sampling import Images
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import atomic_path
from squeezed.foundation.job import Job, one, optional
from squeezed.graphs.engines import engines_of, open_engine


@script_main
def main() -> None:
    """Corrupt, predict and write the results."""
    job = Job(
        __doc__,
        inputs={
            "graph": one("the variant (.onnx)"),
            "baseline": optional("the baseline's predictions; none for the baseline itself"),
            "dataset": one("the prepared data set"),
        },
        outputs={
            "predictions": one("what is predicted of each image, to write (.safetensors)"),
            "table": one("each corruption's figures, to write (CSV)"),
        },
        settings="the experiment's corruptions and threads",
    )
    settings = job.section("corruptions", CorruptionSettings)
    split = open_dataset(job.input["dataset"]).test
    graph = job.input["graph"]
    engine = open_engine(graph, job.threads, engines_of(graph, ())[0])

    def predict(images: Images) -> np.ndarray:
        return engine.predict(images).argmax(axis=1)

    own = predict_corrupted(predict, split, settings)
    baseline = Predictions.read(job.input["baseline"]) if job.input["baseline"] else own
    side = max(split.images(np.arange(1)).shape[-2:])
    metrics, rows = corruption_metrics(own, baseline, settings.kinds, side)
    own.write(job.output["predictions"])
    with (
        atomic_path(job.output["table"]) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    job.write(metrics)


if __name__ == "__main__":
    main()
