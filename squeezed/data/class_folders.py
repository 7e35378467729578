"""Which file is which class in which split: `train/<class>/…` and `test` or `val/<class>/…`."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from squeezed.data.image_files import EXTENSIONS
from squeezed.foundation.errors import UserError

VALIDATION_NAMES = ("val", "validation", "valid")
IGNORED_PARTS = frozenset(
    {
        "__MACOSX",  # zips made on a Mac
        "@eaDir",  # thumbnails of a Synology
        "#recycle",
        "@Recycle",  # a QNAP's
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    }
)
"""Folders that systems make: pictures in them are no part of the set. Nor are hidden ones."""


@dataclass
class ClassFolders:
    """The image files of a tree, by split and class; every split has the same classes."""

    class_names: list[str]
    """Sorted: the label of a class is its position. Unicode's composed form (NFC)."""
    files: dict[str, list[tuple[str, int]]]
    """For `train`, `test` and perhaps `validation`: (path in the tree, label), sorted."""
    left_out: dict[str, int]
    """How many files are no images by their extension, by extension; and how many images lie
    outside of class folders, as `images in train/`."""
    repeated: int = 0
    """Files that an archive holds more than once; the last one counts."""


@dataclass
class _Found:
    """What a tree's listing holds below its splits."""

    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    spellings: dict[tuple[str, str], str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    repeated: int = 0

    def class_folder(self, split: str, name: str, where: Path) -> list[str]:
        """Return the members of a class, however its name is composed."""
        composed = normalize("NFC", name)
        first = self.spellings.setdefault((split, composed), name)
        if first != name:
            raise UserError(
                f"{where}: {split} has two folders that look alike, {composed}, of other Unicode "
                f"characters ({first!a} and {name!a}): make them one"
            )
        return self.files.setdefault(split, {}).setdefault(composed, [])


def arrange(names: Iterable[str], where: Path) -> ClassFolders:
    """Sort a tree's files into splits and classes.

    The splits may lie in a single folder at the top, as they do in many archives. With both a
    `test` and a `val` folder the latter is the validation split; with `val` alone it is the test.

    Args:
        names: paths with `/`; those of folders end in `/`. A name that comes twice is one file.
        where: the tree, for messages.

    Raises:
        UserError: if a split is missing, a class is empty or alone, the splits' classes differ, or
            a class has a name that is no text.
    """
    found, backslashes = _listed(names, where)
    splits = _named_splits(found, where, backslashes)
    class_names = sorted(found.files[splits["train"]])
    for folder in splits.values():
        _check_classes(found, folder, class_names, splits["train"], where)
    if len(class_names) < 2:
        raise UserError(
            f"{where} has a single class, {class_names[0]}: two are needed to tell apart (the path "
            "is that of the folder that holds train/<class>/, for each class)"
        )
    labels = {name: label for label, name in enumerate(class_names)}
    files = {
        split: [
            (member, labels[class_name])
            for class_name in class_names
            for member in sorted(found.files[folder][class_name], key=_composed)
        ]
        for split, folder in splits.items()
    }
    for folder in found.files.keys() - set(splits.values()):
        found.left_out[f"images in {folder}/"] += sum(map(len, found.files[folder].values()))
    left_out = {what: count for what, count in sorted(found.left_out.items()) if count}
    return ClassFolders(class_names, files, left_out, found.repeated)


def _listed(names: Iterable[str], where: Path) -> tuple[_Found, bool]:
    """Return what lies below the splits, and whether a name holds a backslash."""
    once = Counter(names)
    paths = [(PurePosixPath(name), name) for name in once]
    paths = [(path, name) for path, name in paths if not _is_hidden(path)]
    skipped = _depth_of_splits([path for path, _ in paths])
    found = _Found()
    for path, name in paths:
        parts, is_folder = path.parts[skipped:], name.endswith("/")
        is_image = not is_folder and path.suffix.lower() in EXTENSIONS
        if len(parts) < 2 or (len(parts) == 2 and not is_folder):
            if is_image:
                found.left_out[f"images in {parts[0]}/" if parts[1:] else "images at the top"] += 1
            continue
        members = found.class_folder(parts[0], parts[1], where)
        if is_image:
            members.append(name)
            found.repeated += once[name] > 1
        elif not is_folder:
            found.left_out[path.suffix.lower() or "(no extension)"] += 1
    return found, any("\\" in name for name in once)


def _composed(name: str) -> tuple[str, str]:
    return normalize("NFC", name), name


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part in IGNORED_PARTS for part in path.parts)


def _depth_of_splits(paths: list[PurePosixPath]) -> int:
    """Return 1 if all is in a single folder which is not a split itself, else 0."""
    tops = {path.parts[0] for path in paths if path.parts}
    return int(len(tops) == 1 and "train" not in tops)


def _named_splits(found: _Found, where: Path, backslashes: bool) -> dict[str, str]:
    folders = found.files
    validation = next((name for name in VALIDATION_NAMES if name in folders), None)
    if "train" not in folders:
        near = next((name for name in sorted(folders) if name.lower().startswith("train")), None)
        hint = (
            " (its names are divided by backslashes: pack it again)"
            if backslashes
            else (f" (it has {near}/: rename it)" if near else "")
        )
        raise UserError(
            f"{where} has no folder train/<class>/ with images: its layout must be that{hint}"
        )
    if "test" in folders:
        splits = {"train": "train", "test": "test"}
        return splits | ({"validation": validation} if validation else {})
    if validation is None:
        raise UserError(f"{where} has neither test/<class>/ nor val/<class>/: add one of them")
    return {"train": "train", "test": validation}


def _check_classes(
    found: _Found, folder: str, expected: list[str], train: str, where: Path
) -> None:
    classes = found.files[folder]
    for name in classes:
        if not _is_text(name):
            raise UserError(
                f"{where}: the name of the folder {folder}/{name} is not in UTF-8: rename it, so "
                "that it can stand in a report"
            )
    if sorted(classes) != expected:
        lacking = sorted(set(expected) - set(classes))
        name, has, lacks, there = (
            (lacking[0], train, folder, classes.keys())
            if lacking
            else (min(set(classes) - set(expected)), folder, train, set(expected))
        )
        others = len(set(classes) ^ set(expected)) - 1
        like = next((n for n in sorted(there) if _as_read(n) == _as_read(name)), None)
        raise UserError(
            f"{where}: the classes of its splits differ: {has}/{name} is there, {lacks}/{name} is "
            f"not{and_others(others)}"
            + (f"; {lacks}/{like} looks like it: give both the same name" if like else "")
        )
    empty = sorted(name for name, members in classes.items() if not members)
    if empty:
        extensions = ", ".join(sorted(found.left_out))
        raise UserError(
            f"{where}: {folder}/{empty[0]} holds no image{and_others(len(empty) - 1)}: fill it, "
            "or remove the class from every split"
            + (f" (files that are not read as images: {extensions})" if extensions else "")
        )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_read(name: str) -> str:
    """Return what names have in common that one takes for the same."""
    return " ".join(normalize("NFKC", name).casefold().replace("_", " ").split())


def and_others(count: int) -> str:
    """Return how a message counts what it does not name."""
    return "" if count == 0 else f" (and {count} other{'s' if count > 1 else ''} like it)"
