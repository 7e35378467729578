"""One image file to an array: read, converted to RGB, resized and cropped."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

EXTENSIONS = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

# What Pillow raises for a file that is no image, or is truncated or damaged.
UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    ValueError,
    SyntaxError,
)


@dataclass(frozen=True)
class Geometry:
    """How an image of any size becomes one of a fixed size."""

    resize: int | None
    """The shorter side is resized to this many pixels (bilinear); None: as it is."""
    crop: int | None
    """Side of the central square that is kept; None: all of it."""

    def apply(self, image: Image.Image) -> Image.Image:
        """Resize and crop as torchvision's `Resize` and `CenterCrop` do to a PIL image."""
        if self.resize is not None:
            width, height = image.size
            shorter = min(width, height)
            size = (int(self.resize * width / shorter), int(self.resize * height / shorter))
            if size != image.size:
                image = image.resize(size, Image.Resampling.BILINEAR)
        if self.crop is not None:
            left = round((image.width - self.crop) / 2)
            top = round((image.height - self.crop) / 2)
            # Outside of a smaller image the crop is black.
            image = image.crop((left, top, left + self.crop, top + self.crop))
        return image


def open_rgb(content: bytes) -> Image.Image:
    """Decode an image file and convert it to RGB: transparency is dropped, grey is repeated.

    Raises:
        one of UNREADABLE: if it is not a whole image.
    """
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        if image.mode.startswith("I;16") or image.mode == "I":
            # 16 bits to 8: Pillow would clip instead.
            grey = np.asarray(image, dtype=np.uint32) >> 8
            return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
        if image.mode == "P" and "transparency" in image.info:
            return image.convert("RGBA").convert("RGB")
        return image.convert("RGB")


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return an RGB image as uint8, shape (3, H, W)."""
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)


def check_readable(content: bytes) -> None:
    """Read an image file to its end, as cheaply as its format allows.

    Raises:
        one of UNREADABLE: if it is not a whole image.
    """
    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (1, 1))  # JPEG: an eighth of the size; the data is read to its end
        image.load()
