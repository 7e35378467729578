"""The user's own images: class folders, a list of labels, or nothing but pictures; or an array."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from squeezed.data.image_files import EXTENSIONS, open_rgb
from squeezed.foundation.errors import UserError, first_line

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

SPLITS = ("test", "val", "validation", "valid")
"""Of several splits the first of these is taken; never the training images."""
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
KEPT_SHARE = 0.875
"""Of the shorter side, when it is not said how images are cropped: 224 of 256."""
READERS = 2


@dataclass(frozen=True)
class Fit:
    """How a picture of any size becomes one of the model's."""

    size: tuple[int, int]
    """Height and width that are kept from the middle."""
    resize: int | None = None
    """The shorter side is resized to this before; None: nothing is resized."""
    interpolation: str = "bilinear"

    def apply(self, image: Image.Image) -> Image.Image:
        """Resize and crop as torchvision's `Resize` and `CenterCrop` do to a PIL image."""
        height, width = self.size
        if self.resize is not None and self.resize != min(image.size):
            shorter = min(image.size)
            longer = (
                int(self.resize * image.width / shorter),
                int(self.resize * image.height / shorter),
            )
            image = image.resize(longer, INTERPOLATIONS[self.interpolation])
        if image.size != (width, height):
            left, top = round((image.width - width) / 2), round((image.height - height) / 2)
            image = image.crop((left, top, left + width, top + height))
        return image


class Pictures:
    """Images one batch at a time, with their labels if they have any."""

    def __init__(
        self,
        names: Sequence[str],
        read: Callable[[int], Image.Image] | None,
        array: NDArray[Any] | None,
        labels: Integers | None,
        class_names: list[str] | None,
    ) -> None:
        """Use `pictures_of`."""
        self.names = names
        """Of each image, for the lists of what changed."""
        self.labels = labels
        """Shape (n,), or None."""
        self.class_names = class_names
        self.fit: Fit | None = None
        """How pictures are resized and cropped; None: they are as they are."""
        self._read, self._array = read, array

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_array(self) -> bool:
        """Whether they came as one, and so are not resized."""
        return self._array is not None

    def sizes(self, count: int) -> set[tuple[int, int]]:
        """Return the heights and widths of evenly chosen images, of an array's own."""
        if self._array is not None:
            return {(int(self._array.shape[2]), int(self._array.shape[3]))}
        assert self._read is not None
        chosen = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(int))
        found = (self._read(int(k)) for k in chosen)
        return {(image.height, image.width) for image in found}

    def images(self, indices: NDArray[np.integer]) -> Floats:
        """Return images in [0, 1], shape (n, C, H, W)."""
        return next(self.batches(max(1, len(indices)), indices))[1]

    def batches(
        self, batch_size: int, indices: NDArray[np.integer] | None = None
    ) -> Iterator[tuple[NDArray[np.integer], Floats]]:
        """Yield (indices, images in [0, 1] of shape (n, C, H, W)), read ahead by one batch.

        Raises:
            UserError: if a file cannot be read, or an image has another size than the others.
        """
        order = np.arange(len(self)) if indices is None else np.asarray(indices)
        parts = [order[k : k + batch_size] for k in range(0, len(order), batch_size)]
        if self._array is not None:
            for part in parts:
                yield part, _in_unit_range(self._array[part])
            return
        with ThreadPoolExecutor(READERS) as pool:
            coming = [pool.map(self._pixels, parts[0])] if parts else []
            for number, part in enumerate(parts):
                if number + 1 < len(parts):
                    coming.append(pool.map(self._pixels, parts[number + 1]))
                pixels = list(coming.pop(0))
                self._check_sizes(part, pixels)
                yield part, _in_unit_range(np.stack(pixels))

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        assert self._read is not None
        image = self._read(int(index))
        image = image if self.fit is None else self.fit.apply(image)
        return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)

    def _check_sizes(self, part: NDArray[np.integer], pixels: list[NDArray[np.uint8]]) -> None:
        for index, each in zip(part, pixels, strict=True):
            if each.shape != pixels[0].shape:
                raise UserError(
                    f"{self.names[index]} has {each.shape[1]} × {each.shape[2]} pixels, others "
                    f"{pixels[0].shape[1]} × {pixels[0].shape[2]}: give the size that all are "
                    "brought to"
                )


def _in_unit_range(images: NDArray[Any]) -> Floats:
    if images.dtype == np.uint8:
        return np.divide(images, np.float32(255), dtype=np.float32)
    return np.asarray(images, dtype=np.float32)


def pictures_of(
    images: str | Path | NDArray[Any],
    labels: str | Path | Sequence[Any] | NDArray[Any] | None = None,
    *,
    limit: int | None = None,
) -> Pictures:
    """Find images and their labels.

    Args:
        images: a folder or a zip archive, or an array: uint8, or floats in [0, 1], of shape
            (n, C, H, W), or (n, H, W, C) for uint8 with 1 or 3 channels last.
        labels: for a folder a CSV file with the columns `file` and `label`; for an array the
            classes as numbers or names; None: the class folders, if there are any.
        limit: so many images, spread evenly over all.

    Raises:
        UserError: if there are no images, or labels that do not fit.
    """
    if isinstance(images, str | Path):
        pictures = _from_tree(Path(images), labels)
    else:
        pictures = _from_array(np.asarray(images), labels)
    if not len(pictures):
        raise UserError("there is no image to compare on")
    if limit is not None and limit < len(pictures):
        return _thinned(pictures, limit)
    return pictures


def _thinned(pictures: Pictures, limit: int) -> Pictures:
    chosen = np.linspace(0, len(pictures) - 1, limit).round().astype(int)
    read, array = pictures._read, pictures._array
    return Pictures(
        [pictures.names[k] for k in chosen],
        None if read is None else lambda index: read(int(chosen[index])),
        None if array is None else array[chosen],
        None if pictures.labels is None else pictures.labels[chosen],
        pictures.class_names,
    )


def _from_array(array: NDArray[Any], labels: Any) -> Pictures:
    if array.ndim != 4:
        raise UserError(f"images are an array of shape {array.shape}: it must be (n, C, H, W)")
    if array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.shape[1] not in (1, 3):
        raise UserError(f"images are an array of shape {array.shape}: C must be 1 or 3")
    floats = np.issubdtype(array.dtype, np.floating)
    if array.dtype != np.uint8 and not (
        floats and array.size and float(array.min()) >= 0 and float(array.max()) <= 1
    ):
        raise UserError(
            f"images are {array.dtype} from {array.min()} to {array.max()}: they must be uint8, or "
            "floats in [0, 1]"
        )
    if isinstance(labels, str | Path):
        raise UserError("labels of an array of images are an array, not a file")
    numbers, names = None, None
    if labels is not None:
        given = np.asarray(labels)
        if given.shape != (len(array),):
            raise UserError(f"there are {len(array)} images, but labels of shape {given.shape}")
        numbers, names = _numbered([str(label) for label in given])
    return Pictures([str(k) for k in range(len(array))], None, array, numbers, names)


def _numbered(labels: list[str]) -> tuple[Integers, list[str]]:
    """Return each label's place among the different ones, and these, numbers in their order."""
    different = sorted(set(labels))
    if all(label.isdecimal() for label in different):
        different.sort(key=int)
    places = {name: k for k, name in enumerate(different)}
    return np.array([places[label] for label in labels], dtype=np.int64), different


def _from_tree(path: Path, labels: Any) -> Pictures:
    members, read = _members(path)
    if labels is not None:
        if not isinstance(labels, str | Path):
            raise UserError("labels of a folder of images are a CSV file with file and label")
        members, given = _from_csv(Path(labels), path, members)
        classes: list[str] | None = given
    else:
        members, classes = _classes_of_folders(members, path)
    numbers, names = (None, None) if classes is None else _numbered(classes)

    def picture(index: int) -> Image.Image:
        try:
            return open_rgb(read(members[index]))
        except Exception as error:  # damaged files lead decoders to whatever error comes first
            raise UserError(
                f"{path}/{members[index]} cannot be read as an image ({first_line(error)})"
            ) from error

    return Pictures(members, picture, None, numbers, names)


def _members(path: Path) -> tuple[list[str], Callable[[str], bytes]]:
    """Return the image files below a folder or in a zip archive, sorted, and how they are read."""
    if path.is_dir():
        found = [f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file()]
        return _images_among(found), lambda name: (path / name).read_bytes()
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there: name a folder of images") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is neither a folder nor a zip archive of images") from error

    return _images_among(archive.namelist()), archive.read


def _images_among(names: list[str]) -> list[str]:
    return sorted(
        name
        for name in names
        if PurePosixPath(name).suffix.lower() in EXTENSIONS
        and not any(
            part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts
        )
    )


def _classes_of_folders(members: list[str], path: Path) -> tuple[list[str], list[str] | None]:
    """Return the images to take, and each one's class: the folder below the split."""
    parts = {name: PurePosixPath(name).parts for name in members}
    depth = 0
    while parts and min(map(len, parts.values())) > depth + 2:
        tops = {each[depth] for each in parts.values()}
        if len(tops) > 1:
            break
        depth += 1
    tops = {each[depth] for each in parts.values() if len(each) > depth + 1}
    split = next((name for name in SPLITS if name in tops), None)
    if split is not None and tops <= {*SPLITS, "train"}:
        members = [name for name in members if parts[name][depth] == split]
        depth += 1
    loose = [name for name in members if len(parts[name]) == depth + 1]
    if len(loose) == len(members):
        return members, None
    if loose:
        raise UserError(
            f"{path}: {loose[0]} lies beside the class folders: put each image into the folder of "
            "its class, or give the labels as a CSV file"
        )
    return members, [parts[name][depth] for name in members]


def _from_csv(table: Path, path: Path, members: list[str]) -> tuple[list[str], list[str]]:
    try:
        with io.StringIO(table.read_text(encoding="utf-8-sig")) as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} cannot be read as a CSV file: {error}") from error
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise UserError(f"{table} must begin with a line that names the columns: file,label")
    there = set(members)
    for row in rows:
        if row["file"] not in there:
            raise UserError(f"{table} names {row['file']!r}, which is no image in {path}")
        if not row["label"]:
            raise UserError(f"{table} gives {row['file']!r} no label")
    return [row["file"] for row in rows], [row["label"].strip() for row in rows]
