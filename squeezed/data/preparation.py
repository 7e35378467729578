"""From a data set's section of the configuration to a prepared data set."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from squeezed.data import cifar10, svhn
from squeezed.data.class_folders import ClassFolders, arrange
from squeezed.data.dataset import SPLITS
from squeezed.data.downloads import check_md5, download
from squeezed.data.extraction import extract
from squeezed.data.geometry import AS_IT_IS, Geometry
from squeezed.data.image_trees import ImageTree, open_tree
from squeezed.data.imagenet import FlatValidationTree
from squeezed.data.manifest import write_manifest
from squeezed.data.pixel_statistics import refuse_blank
from squeezed.data.splitting import hold_out
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.data.tree_reading import Part, check_files, read_into_memory
from squeezed.foundation.errors import UserError, first_line
from squeezed.foundation.exhaustion import exhausted
from squeezed.foundation.files import sha256_of, user_path

logger = logging.getLogger(__name__)

DIGITS_TEST_FRACTION = 0.2


@dataclass
class Contents:
    """What a source holds: images and labels of `train`, `test` and perhaps `validation`."""

    splits: dict[str, Part]
    class_names: list[str]
    source: dict[str, Any]
    """Names and SHA-256, no path of a machine."""
    geometry: Geometry = AS_IT_IS
    """What brought the images to one size."""


def prepare_dataset(name: str, settings: Mapping[str, Any], output: Path, downloads: Path) -> None:
    """Write the data set `name` to `output`, whole or not at all.

    Args:
        name: the data set's name.
        settings: its section of the configuration, complete.
        output: the prepared data set, for `squeezed.data.open_dataset`.
        downloads: the folder that downloads and unpacked archives are kept in.

    Raises:
        UserError: for anything that is wrong with the source, the network or the disk.
    """
    try:
        if settings["storage"] == "files":
            _prepare_files(name, settings, output, downloads)
        else:
            _prepare_memory(name, settings, output, downloads)
    except (OSError, SafetensorError) as error:
        reason = exhausted(error) or first_line(error)
        raise UserError(f"the data set {name} cannot be prepared: {reason}") from error


def _prepare_memory(name: str, settings: Mapping[str, Any], output: Path, downloads: Path) -> None:
    read = READERS[settings["source"]["kind"]]
    contents = read(settings, downloads)
    splits = dict(contents.splits)
    if "validation" not in splits:
        images, labels = splits["train"]
        kept, held_out = _hold_out(labels, settings, contents.class_names)
        splits["validation"] = images[held_out], labels[held_out]
        splits["train"] = images[kept], labels[kept]
    refuse_blank(name, splits["train"][0])
    write_tensor_dataset(
        output,
        name=name,
        class_names=contents.class_names,
        splits=splits,
        source=contents.source,
        geometry=contents.geometry,
        normalisation=_normalisation(settings),
    )


def _prepare_files(name: str, settings: Mapping[str, Any], output: Path, downloads: Path) -> None:
    source = settings["source"]
    path = user_path(source["path"])
    provenance: dict[str, Any] = _named(source, path)
    if not path.is_dir():
        provenance["sha256"] = sha256_of(path)
        path = extract(open_tree(path), downloads / f"{path.stem}-{provenance['sha256'][:12]}")
    tree = _open(source, path)
    folders = _arranged(tree)
    provenance |= _passed_over(folders)
    paths = {s: [tree.real(n) for n, _ in files] for s, files in folders.files.items()}
    digest = check_files(path, [p for split in paths.values() for p in split])
    provenance.setdefault("sha256", digest)
    labels = {s: np.array([label for _, label in f], np.int64) for s, f in folders.files.items()}
    splits = {s: (paths[s], labels[s]) for s in paths}
    if "validation" not in splits:
        kept, held_out = _hold_out(labels["train"], settings, folders.class_names)
        for split, chosen in (("validation", held_out), ("train", kept)):
            splits[split] = [paths["train"][i] for i in chosen], labels["train"][chosen]
    write_manifest(
        output,
        name=name,
        root=path,
        class_names=folders.class_names,
        splits={split: splits[split] for split in SPLITS},
        geometry=Geometry(settings["resize"], settings["crop"]),
        digest=digest,
        source=provenance,
        normalisation=_normalisation(settings),
    )


def _read_digits(settings: Mapping[str, Any], downloads: Path) -> Contents:
    from squeezed.data.digits import read_digits  # scikit-learn takes 3 s to import

    images, labels = read_digits()
    names = [str(digit) for digit in range(10)]
    kept, test = hold_out(labels, DIGITS_TEST_FRACTION, settings["split_seed"], names)
    splits = {"train": (images[kept], labels[kept]), "test": (images[test], labels[test])}
    return Contents(splits, names, {"kind": "digits", "name": "scikit-learn's load_digits"})


def _read_cifar10(settings: Mapping[str, Any], downloads: Path) -> Contents:
    archive = _official_file(settings["source"], "archive", cifar10.ARCHIVE, downloads)
    train, test, class_names = cifar10.read_cifar10(archive)
    return Contents(
        {"train": train, "test": test}, class_names, _official_source("cifar10", [archive])
    )


def _read_svhn(settings: Mapping[str, Any], downloads: Path) -> Contents:
    source = settings["source"]
    keys = ["train", "test", *(["extra"] if source["extra"] else [])]
    files = {key: _official_file(source, key, svhn.FILES[key], downloads) for key in keys}
    parts = {key: svhn.read_svhn(path) for key, path in files.items()}
    if "extra" in parts:
        first, second = parts["train"], parts.pop("extra")
        parts["train"] = (
            np.concatenate([first[0], second[0]]),
            np.concatenate([first[1], second[1]]),
        )
    class_names = [str(digit) for digit in range(10)]
    return Contents(parts, class_names, _official_source("svhn", list(files.values())))


def _read_tree(settings: Mapping[str, Any], downloads: Path) -> Contents:
    source = settings["source"]
    path = user_path(source["path"])
    tree = _open(source, path)
    folders = _arranged(tree)
    geometry = Geometry(settings["resize"], settings["crop"])
    splits, digest = read_into_memory(tree, folders, geometry)
    sha256 = digest if path.is_dir() else sha256_of(path)
    provenance = {**_named(source, path), "sha256": sha256, **_passed_over(folders)}
    return Contents(splits, folders.class_names, provenance, geometry)


READERS: dict[str, Callable[[Mapping[str, Any], Path], Contents]] = {
    "digits": _read_digits,
    "cifar10": _read_cifar10,
    "svhn": _read_svhn,
    "folder": _read_tree,
    "imagenet": _read_tree,
}


def _official_file(source: Mapping[str, Any], key: str, name: str, downloads: Path) -> Path:
    """Return one file of an official set: the user's own copy, or downloaded."""
    official = source["files"].get(key)
    if source["path"] is None:
        return download(official["url"], official["md5"], downloads)
    path = user_path(source["path"])
    path = path / name if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"there is no {path}: correct the source's `path`")
    if path.name != name and source["kind"] == "svhn":
        raise UserError(f"{path}: the path of an svhn source is the folder with its .mat files")
    check_md5(path, official["md5"] if official else None)
    return path


def _official_source(kind: str, files: list[Path]) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": ", ".join(path.name for path in files),
        "sha256": ", ".join(sha256_of(path) for path in files),
    }


def _named(source: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return {"kind": source["kind"], "name": path.resolve().name}


def _open(source: Mapping[str, Any], path: Path) -> ImageTree:
    tree = open_tree(path)
    if source["kind"] == "imagenet":
        devkit = source["files"].get("devkit")
        return FlatValidationTree(tree, devkit["md5"] if devkit else None)
    return tree


def _arranged(tree: ImageTree) -> ClassFolders:
    folders = arrange((name for name, _ in tree.entries()), tree.path)
    for what, count in folders.left_out.items():
        logger.info("left out: %d × %s", count, what)
    if folders.repeated:
        logger.info("%d files are there more than once: the last one counts", folders.repeated)
    return folders


def _passed_over(folders: ClassFolders) -> dict[str, Any]:
    """Return what a user must know who thinks that every file counts; nothing where each does."""
    said: dict[str, Any] = {}
    if folders.left_out:
        said["left_out"] = folders.left_out
    if folders.repeated:
        said["repeated"] = folders.repeated
    return said


def _hold_out(labels: Any, settings: Mapping[str, Any], class_names: list[str]) -> Any:
    return hold_out(labels, settings["validation_fraction"], settings["split_seed"], class_names)


def _normalisation(settings: Mapping[str, Any]) -> tuple[list[float], list[float]] | None:
    mean, std = settings["normalisation"]["mean"], settings["normalisation"]["std"]
    return (mean, std) if mean else None
