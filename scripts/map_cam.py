"""Draw which pixels a variant's decisions rest on, and score the maps beside controls."""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from squeezed.data import open_dataset
from squeezed.explain.attribution import predictions, unavailable
from squeezed.explain.calibrating import calibrating_temperature
from squeezed.explain.cam import (
    Pictures,
    agreement,
    attribution_maps,
    map_scores,
    randomisation_fields,
    randomisation_test,
)
from squeezed.explain.changed import changed_maps
from squeezed.explain.image_scores import check_same_images, read_scores, summary, write_scores
from squeezed.explain.objects import object_masks
from squeezed.explain.selection import choose_images
from squeezed.foundation.cli import script_main
from squeezed.foundation.files import atomic_path
from squeezed.foundation.job import one, optional
from squeezed.foundation.torch_job import TorchJob
from squeezed.graphs.twin import load_twin


@script_main
def main() -> None:
    """Make the maps, score and write."""
    job = TorchJob(
        __doc__,
        inputs={
            "graph": one("the variant (.onnx)"),
            "dataset": one("the prepared data set"),
            "masks": optional("where the objects are, if you know (.npy)"),
            "baseline": optional("the baseline's maps, to compare with; none for itself"),
            "baseline_images": optional("the baseline's scores of each image"),
            "baseline_graph": optional("the baseline (.onnx), to see where it looks, too"),
            "predictions": optional("what the variant and the baseline predict (CSV)"),
        },
        outputs={
            "maps": one("the maps to write (safetensors)"),
            "images": one("each image's scores, to write (CSV)"),
        },
        settings="the experiment's cam, device and threads",
        seed="of the choice of images and of every control",
    )
    section, seed = job.settings["cam"], job.seed
    dataset = open_dataset(job.input["dataset"])
    indices = choose_images(dataset, section["images"], seed)
    labels = np.asarray(dataset.test.labels)[indices]
    pixels = dataset.test.images(indices)
    masks_path: Path | None = job.input["masks"]
    masks = object_masks(
        section["object"],
        pixels,
        indices,
        test_images=len(dataset.test),
        masks_path=masks_path,
    )
    twin = load_twin(job.input["graph"]).to(job.device)
    images = torch.from_numpy(pixels).to(job.device)
    predicted, probability = predictions(twin, images)
    pictures = Pictures(images, predicted)

    layer = section["layer"]
    reasons = {method: unavailable(twin, method, layer) for method in section["methods"]}
    maps = {
        method: attribution_maps(twin, pictures, method, layer)
        for method, reason in reasons.items()
        if reason is None
    }
    temperature, split, fitted = calibrating_temperature(twin, dataset, job.device, seed=seed)
    scores = map_scores(
        twin,
        pictures,
        maps,
        masks,
        mean_colour=dataset.mean,
        steps=section["steps"],
        road_shares=section["road_shares"],
        temperature=temperature,
        seed=seed,
    )
    metrics = {"n_images": len(indices), "object": section["object"]}
    metrics |= {"temperature": temperature, "temperature_split": split}
    metrics |= {"n_temperature_images": fitted}
    metrics |= {f"{method}_left_out": reason for method, reason in reasons.items() if reason}
    if masks is not None:
        metrics["object_area_share"] = float(masks.mean())
    baseline_maps, baseline_scores = maps, None
    if job.input["baseline"]:
        baseline_maps = load_file(job.input["baseline"])
        check_same_images(indices, baseline_maps["indices"])
        baseline_scores = read_scores(job.input["baseline_images"])
    metrics |= summary(scores, baseline_scores, seed=seed)
    agreements = agreement(maps, baseline_maps, pictures, seed=seed)
    metrics |= summary(agreements, None, seed=seed)

    few = slice(section["randomisation_images"])
    first_maps = {method: values[few] for method, values in maps.items()}
    test = randomisation_test(
        twin, Pictures(images[few], predicted[few]), first_maps, layer=layer, seed=seed
    )
    metrics |= randomisation_fields(test, first_maps, seed=seed)

    changed = {}
    if job.input["baseline_graph"] and job.input["predictions"]:
        baseline = load_twin(job.input["baseline_graph"]).to(job.device)
        both = [method for method in maps if unavailable(baseline, method, layer) is None]
        predicted_of_all = read_scores(job.input["predictions"])
        changed = changed_maps(twin, baseline, dataset, predicted_of_all, both, layer)

    with atomic_path(job.output["maps"]) as temporary:
        arrays = {method: values.astype(np.float16) for method, values in maps.items()}
        arrays |= {"indices": indices, "labels": labels}
        arrays |= {
            "predictions": predicted.cpu().numpy(),
            "probabilities": probability.cpu().numpy(),
            **changed,
        }
        save_file(arrays, temporary)
    columns = {"index": indices, "label": labels, "prediction": arrays["predictions"]}
    columns |= {"probability": arrays["probabilities"], **scores, **agreements}
    write_scores(job.output["images"], columns)
    job.write(metrics)


if __name__ == "__main__":
    main()
