"""Which file is which class in which split: `train/<class>/…` and `test` or `val/<class>/…`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from squeezed.data.image_files import EXTENSIONS
from squeezed.foundation.errors import UserError

VALIDATION_NAMES = ("val", "validation", "valid")
IGNORED_PARTS = ("__MACOSX",)


@dataclass
class ClassFolders:
    """The image files of a tree, by split and class; every split has the same classes."""

    class_names: list[str]
    """Sorted: the label of a class is its position."""
    files: dict[str, list[tuple[str, int]]]
    """For `train`, `test` and perhaps `validation`: (path in the tree, label), sorted."""
    others: int = 0
    """Files that are no images by their extension."""


@dataclass
class _Found:
    """What a tree's listing holds below its splits."""

    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    others: int = 0

    def class_folder(self, split: str, name: str) -> list[str]:
        return self.files.setdefault(split, {}).setdefault(name, [])


def arrange(names: Iterable[str], where: Path) -> ClassFolders:
    """Sort a tree's files into splits and classes.

    The splits may lie in a single folder at the top, as they do in many archives. With both a
    `test` and a `val` folder the latter is the validation split; with `val` alone it is the test.

    Args:
        names: paths with `/`; those of folders end in `/`.
        where: the tree, for messages.

    Raises:
        UserError: if a split is missing, a class is empty, or the splits' classes differ.
    """
    paths = [(PurePosixPath(name), name) for name in names]
    paths = [(path, name) for path, name in paths if not _is_hidden(path)]
    skipped = _depth_of_splits([path for path, _ in paths])
    found = _Found()
    for path, name in paths:
        parts = path.parts[skipped:]
        if len(parts) < 2 or (len(parts) == 2 and not name.endswith("/")):
            continue
        members = found.class_folder(parts[0], parts[1])
        if name.endswith("/"):
            continue
        if path.suffix.lower() in EXTENSIONS:
            members.append(name)
        else:
            found.others += 1
    splits = _named_splits(set(found.files), where)
    class_names = sorted(found.files[splits["train"]])
    for folder in splits.values():
        _check_classes(found.files[folder], folder, class_names, splits["train"], where)
    labels = {name: label for label, name in enumerate(class_names)}
    files = {
        split: [
            (member, labels[class_name])
            for class_name in class_names
            for member in sorted(found.files[folder][class_name])
        ]
        for split, folder in splits.items()
    }
    return ClassFolders(class_names, files, found.others)


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part in IGNORED_PARTS for part in path.parts)


def _depth_of_splits(paths: list[PurePosixPath]) -> int:
    """Return 1 if all is in a single folder which is not a split itself, else 0."""
    tops = {path.parts[0] for path in paths if path.parts}
    return int(len(tops) == 1 and "train" not in tops)


def _named_splits(folders: set[str], where: Path) -> dict[str, str]:
    validation = next((name for name in VALIDATION_NAMES if name in folders), None)
    if "train" not in folders:
        raise UserError(
            f"{where} has no folder train/<class>/ with images: its layout must be that"
        )
    if "test" in folders:
        splits = {"train": "train", "test": "test"}
        return splits | ({"validation": validation} if validation else {})
    if validation is None:
        raise UserError(f"{where} has neither test/<class>/ nor val/<class>/: add one of them")
    return {"train": "train", "test": validation}


def _check_classes(
    classes: dict[str, list[str]], folder: str, expected: list[str], train: str, where: Path
) -> None:
    if sorted(classes) != expected:
        lacking = sorted(set(expected) - set(classes))
        name, has, lacks = (
            (lacking[0], train, folder)
            if lacking
            else (min(set(classes) - set(expected)), folder, train)
        )
        others = len(set(classes) ^ set(expected)) - 1
        raise UserError(
            f"{where}: the classes of its splits differ: {has}/{name} is there, {lacks}/{name} is "
            f"not{and_others(others)}"
        )
    empty = sorted(name for name, members in classes.items() if not members)
    if empty:
        raise UserError(
            f"{where}: {folder}/{empty[0]} holds no image{and_others(len(empty) - 1)}: fill it, "
            "or remove the class from every split"
        )


def and_others(count: int) -> str:
    """Return how a message counts what it does not name."""
    return "" if count == 0 else f" (and {count} other{'s' if count > 1 else ''} like it)"
