"""Read a variant's features of the chosen test images, and score how they separate the classes."""

import numpy as np
from safetensors.numpy import load_file, save_file

from squeezed.data import open_dataset
from squeezed.data.fitness import neighbours_for
from squeezed.explain.embedding_scores import (
    check_classes,
    likeness,
    pixel_features,
    separation_scores,
)
from squeezed.explain.image_scores import check_same_images, read_scores, summary, write_scores
from squeezed.explain.layers import embed, feature_layer
from squeezed.explain.selection import choose_images
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import atomic_path
from squeezed.foundation.job import one, optional
from squeezed.foundation.torch_job import TorchJob
from squeezed.graphs.twin import load_twin


@script_main
def main() -> None:
    """Embed the images, score and write."""
    job = TorchJob(
        __doc__,
        inputs={
            "graph": one("the variant (.onnx)"),
            "dataset": one("the prepared data set"),
            "baseline": optional("the baseline's features, to compare with; none for itself"),
            "baseline_images": optional("the baseline's scores of each image"),
        },
        outputs={
            "features": one("the features to write (safetensors)"),
            "images": one("each image's scores, to write (CSV)"),
        },
        settings="the experiment's embedding, device and threads",
        seed="of the choice of images and of resampling",
    )
    section, seed = job.settings["embedding"], job.seed
    dataset = open_dataset(job.input["dataset"])
    indices = choose_images(dataset, section["images"], seed, section["classes"], neighbours=True)
    labels = np.asarray(dataset.test.labels)[indices]
    neighbours = neighbours_for(section["neighbours"], len(indices))
    check_classes(labels, dataset.class_names, neighbours)

    twin = load_twin(job.input["graph"]).to(job.device)
    layer = feature_layer(twin, section["layer"])
    features, predictions = embed(twin, layer, dataset.test, indices, job.device)

    scores = separation_scores(features, labels, neighbours=neighbours, seed=seed)
    metrics = {
        "n_images": len(indices),
        "n_classes": len(np.unique(labels)),
        "n_features": features.shape[1],
        "neighbours": neighbours,
        "layer": layer.name,
        "largest_class_share": float(np.bincount(labels).max() / len(labels)),
    }
    if job.input["baseline"]:
        baseline = load_file(job.input["baseline"])
        check_same_images(indices, baseline["indices"])
        metrics |= summary(scores, read_scores(job.input["baseline_images"]), seed=seed)
        metrics |= likeness(features, baseline["features"], seed=seed)
    else:
        metrics |= summary(scores, None, seed=seed)
        metrics |= likeness(features, features, seed=seed)
        pixels = pixel_features(dataset.test.images(indices))
        control = separation_scores(pixels, labels, neighbours=neighbours, seed=seed)
        metrics |= summary({f"pixels_{name}": s for name, s in control.items()}, None, seed=seed)

    with atomic_path(job.output["features"]) as temporary:
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
        job.output["images"],
        {"index": indices, "label": labels, "prediction": predictions, **scores},
    )
    job.write(metrics)


if __name__ == "__main__":
    main()
