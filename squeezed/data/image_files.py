"""One image file to an array: read, turned upright, converted to RGB.

What becomes of each pixel format is said at `open_rgb`.
"""

import io
import os
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from squeezed.foundation.errors import first_line
from squeezed.foundation.exhaustion import exhausted

EXTENSIONS = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"),
        *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    }
)


class UnreadableImage(Exception):
    """An image file that cannot be read, with the reason in a few words."""


_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation."""

TIFF_BITS, TIFF_MEANING, TIFF_PALETTE = 258, 262, 320
WHITE_IS_ZERO = 0


def read_image_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        UnreadableImage: if there is none, or it is something else, as a link to nowhere or a pipe
            (which one could wait for until the end of time).
        OSError: if the machine runs out of something.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnreadableImage("it is no file")
            return file.read()
    except OSError as error:
        if exhausted(error):
            raise
        if path.is_symlink() and not os.path.exists(path):  # noqa: PTH110 (says False for loops)
            raise UnreadableImage(f"it is a link to nowhere, {path.readlink()}") from error
        raise UnreadableImage(error.strerror or first_line(error)) from error


def open_rgb(content: bytes) -> Image.Image:
    """Decode an image file, upright and in RGB with 8 bits a channel.

    Grey is repeated, transparency dropped. Grey of 9 to 16 bits keeps its upper 8, out of as many
    as the file says that it has; 32-bit numbers must be in [0, 255], floating point numbers in
    [0, 1], because a file does not say what its range is.

    Raises:
        UnreadableImage: if it is not a whole image, or its numbers are of another range.
    """
    return open_rgb_and_brightest(content)[0]


def open_rgb_and_brightest(content: bytes) -> tuple[Image.Image, float | None]:
    """Return what `open_rgb` and `brightest_grey` do, decoding once."""
    image = _decoded(content)
    orientation = _orientation(image)
    rgb = _rgb(image)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    return rgb, _brightest(image)


def brightest_grey(content: bytes) -> float | None:
    """Return the brightest value of a grey image of 16 bits, in [0, 1]; None for all others.

    None brighter than 1/16 means that 12 bits were stored in 16. As cheap as a format allows, but
    the file is read to its end.

    Raises:
        UnreadableImage: if it is not a whole image, or its numbers are of another range.
    """
    image = _decoded(content, draft=True)
    if image.mode in ("I", "F", "LAB", "HSV"):
        _rgb(image)
    return _brightest(image)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return an RGB image as uint8, shape (3, H, W)."""
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)


def _decoded(content: bytes, draft: bool = False) -> Image.Image:
    """Read an image file to its end; with `draft`, as cheaply as its format allows."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if draft:
                image.draft("RGB", (1, 1))  # JPEG: an eighth of the size; all data is read
            image.load()
            return image
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage(_no_image(content)) from error
    # Nothing narrower: damaged files lead Pillow's decoders to whatever error comes first.
    except Exception as error:
        raise UnreadableImage(first_line(error)) from error


def _no_image(content: bytes) -> str:
    """Say what a file is that is no image."""
    start = content[:200].lstrip().lower()
    if not content:
        return "it is empty"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "it is an HTML page: what a server says in place of an image"
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS in place of the image (`git lfs pull` brings the images)"
    if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypheif"):
        return "it is a HEIC image, which is not read: convert it to JPEG or PNG"
    if not any(content):
        return "it holds nothing but zeros"
    return f"it is no image of a kind that is read; it begins with {content[:12]!r}"


def _brightest(image: Image.Image) -> float | None:
    if not image.mode.startswith("I;16"):
        return None
    return float(_sixteen_bit_grey(image).max()) / 0xFFFF


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    # What cannot be understood does not say that the image lies on its side.
    except Exception:
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_grey(_sixteen_bit_grey(image) >> 8)
    if image.mode == "I":
        return _from_grey(_whole_numbers(image))
    if image.mode == "F":
        return _from_grey(_fractions(image))
    if image.mode == "P":
        _widen_palette(image)
    try:
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        elif image.mode in ("RGBa", "La"):  # colours were multiplied by the opacity
            image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
        return image.convert("RGB")
    except ValueError as error:
        raise UnreadableImage(f"its pixels are {image.mode}: {first_line(error)}") from error


def _from_grey(values: NDArray[np.integer]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _sixteen_bit_grey(image: Image.Image) -> NDArray[np.uint16]:
    """Return grey of 9 to 16 bits, spread over all 16."""
    tags = getattr(image, "tag_v2", {})
    unused = np.uint16(16 - int(tags.get(TIFF_BITS, (16,))[0]))
    grey = np.asarray(image).astype(np.uint16) << unused
    return ~grey if tags.get(TIFF_MEANING) == WHITE_IS_ZERO else grey


def _whole_numbers(image: Image.Image) -> NDArray[np.integer]:
    """Return grey of 32 bits, whose range no file says."""
    grey = np.asarray(image)
    if image.format == "PPM":  # Pillow has stretched it to 16 bits
        return grey.clip(0, 0xFFFF) >> 8
    _refuse_range(grey, "32-bit or signed whole numbers", 255)
    return grey


def _fractions(image: Image.Image) -> NDArray[np.integer]:
    """Return grey of floating point numbers, whose range no file says."""
    grey = np.asarray(image)
    _refuse_range(grey, "floating point numbers", 1)
    if getattr(image, "tag_v2", {}).get(TIFF_MEANING) == WHITE_IS_ZERO:
        grey = 1 - grey
    return np.rint(grey * np.float32(255)).astype(np.int32)


def _refuse_range(grey: NDArray[np.generic], what: str, largest: int) -> None:
    low, high = float(grey.min()), float(grey.max())
    if not (low >= 0 and high <= largest):
        raise UnreadableImage(
            f"its pixels are {what} from {low:g} to {high:g}, but must be in [0, {largest}], "
            "because a file does not say what is white: convert it to 8 bits"
        )


def _widen_palette(image: Image.Image) -> None:
    """Take a TIFF's palette for what it is where its 16-bit colours were written in 8 bits."""
    colours = getattr(image, "tag_v2", {}).get(TIFF_PALETTE)
    if colours and max(colours) < 256:
        entries = len(colours) // 3  # all reds, then all greens, then all blues
        image.putpalette([colours[c * entries + i] for i in range(entries) for c in range(3)])
