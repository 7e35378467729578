"""What the configuration itself already says cannot work, found before any job runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from squeezed.foundation.errors import UserError

OFFICIAL_FILES = {"cifar10": ("archive",), "svhn": ("train", "test")}
NEED_PATH = ("folder", "imagenet")


def check_dataset(name: str, section: Mapping[str, Any]) -> None:
    """Check one data set's section, complete by the schema.

    Raises:
        UserError: if its keys do not fit together.
    """
    where, source = f"config.yaml: datasets.{name}", section["source"]
    kind = source["kind"]
    if kind in NEED_PATH and not source["path"]:
        raise UserError(f"{where}.source of kind {kind} needs a `path`: where your images are")
    if kind in OFFICIAL_FILES and not source["path"]:
        extra = ("extra",) if source["extra"] else ()
        for key in (*OFFICIAL_FILES[kind], *extra):
            if not source["files"].get(key, {}).get("url"):
                raise UserError(
                    f"{where}.source of kind {kind} needs `files.{key}` (url and md5), or a `path` "
                    "to the official files"
                )
    if section["storage"] == "files":
        if kind not in NEED_PATH:
            raise UserError(
                f"{where}: storage `files` needs a source of kind folder or imagenet, not {kind}: "
                "use storage `memory`"
            )
        if section["crop"] is None:
            raise UserError(f"{where}: storage `files` needs `crop`, the side of its images")
    lengths = {len(section["normalisation"][key]) for key in ("mean", "std")}
    if lengths not in ({0}, {3}):
        raise UserError(
            f"{where}.normalisation needs three values of `mean` and three of `std`, or none"
        )


def check_augmentation(
    name: str, experiment: Mapping[str, Any], dataset: Mapping[str, Any]
) -> None:
    """Check that an experiment's images have what its augmentation needs.

    Raises:
        UserError: if they have not.
    """
    if dataset["storage"] == "files":
        return
    for where in _resized_crops(experiment, f"experiments.{name}"):
        raise UserError(
            f"config.yaml: {where} needs a data set of storage `files`, whose images keep their "
            "own size: use `crop_padding` instead"
        )


def check_masks(name: str, experiment: Mapping[str, Any]) -> None:
    """Check that masks of objects are named where the maps are scored against them.

    Raises:
        UserError: if they are not.
    """
    cam = experiment["cam"]
    if cam["object"] == "masks" and not cam["masks"]:
        raise UserError(
            f"config.yaml: experiments.{name}.cam.object is 'masks', but its `masks` names no "
            "file: give an .npy file, or choose ink, centre or none"
        )


def _resized_crops(section: Any, where: str) -> Iterator[str]:
    """Yield where a `resized_crop` is asked for."""
    if not isinstance(section, Mapping):
        return
    for key, value in section.items():
        if key == "resized_crop" and value is not None:
            yield f"{where}.{key}"
        yield from _resized_crops(value, f"{where}.{key}")
