"""What a prepared data set holds, in words and numbers for the report."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from squeezed.data.dataset import SPLITS, Dataset


def summarise(dataset: Dataset, settings: Mapping[str, Any], stamp: str | None) -> dict[str, Any]:
    """Return the fields of `data/{dataset}.json`.

    Args:
        dataset: as it was prepared.
        settings: its section of the configuration.
        stamp: of the source (`squeezed.foundation.source_stamp`).
    """
    counts = {split: len(getattr(dataset, split)) for split in SPLITS}
    of_each_class = {
        split: np.bincount(getattr(dataset, split).labels, minlength=len(dataset.class_names))
        for split in SPLITS
    }
    return {
        "name": dataset.name,
        "description": settings["description"],
        "source_kind": dataset.source["kind"],
        "source_name": dataset.source["name"],
        "source_sha256": dataset.source.get("sha256"),
        "source_stamp": stamp,
        "files_left_out": dataset.source.get("left_out", {}),
        "files_repeated": dataset.source.get("repeated", 0),
        "digest": dataset.digest,
        "n_train": counts["train"],
        "n_validation": counts["validation"],
        "n_test": counts["test"],
        "n_train_of_smallest_class": int(of_each_class["train"].min()),
        "n_test_of_smallest_class": int(of_each_class["test"].min()),
        "n_test_of_each_class": of_each_class["test"].tolist(),
        "n_classes": len(dataset.class_names),
        "class_names": dataset.class_names,
        "image_height": dataset.image_size[0],
        "image_width": dataset.image_size[1],
        "mean": dataset.mean,
        "std": dataset.std,
        "preprocessing": dataset.preprocessing,
        "storage": settings["storage"],
    }


def without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a data set's section as a result may show it: without the place on this machine."""
    source = {key: value for key, value in settings["source"].items() if key != "path"}
    return {**settings, "source": source}
