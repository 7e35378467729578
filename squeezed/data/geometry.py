"""How an image of any size becomes pixels of a fixed size: said here once, for all who must know.

From a file to a network's input, in this order (`Geometry.facts` says the same as data):

1. decoded by Pillow, the first frame of several;
2. turned upright as its EXIF orientation says;
3. converted to RGB, 8 bits a channel: grey is repeated, transparency dropped, no colour profile
   applied (`squeezed.data.image_files.open_rgb`);
4. resized so that the shorter side has `resize` pixels, the longer one `int(resize × longer /
   shorter)`, with Pillow's bilinear filter, whose support grows with the reduction (antialiased);
5. cropped to the central square of `crop` pixels, whose left edge is at
   `round((width − crop) / 2)`, halves to even, and its top likewise; black outside of the image;
6. divided by 255 as float32.

4 and 5 are torchvision's `Resize` and `CenterCrop` of a PIL image, to the last bit.
"""

from dataclasses import dataclass
from typing import Any

from PIL import Image


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

    def facts(self) -> dict[str, Any]:
        """Return what whoever deploys a network must do to an image file, as JSON values.

        Keys: `orientation`, `channel_order`, `resize`, `interpolation` and `antialias` (None where
        nothing is resized), `crop`, `input_range`, and all of it in words as `text`.
        """
        resized = self.resize is not None
        return {
            "orientation": "exif",
            "channel_order": "RGB",
            "resize": self.resize,
            "interpolation": "bilinear" if resized else None,
            "antialias": True if resized else None,
            "crop": self.crop,
            "input_range": [0.0, 1.0],
            "text": self._in_words(),
        }

    def _in_words(self) -> str:
        steps = ["turned upright by its EXIF orientation", "converted to 8-bit RGB"]
        if self.resize is not None:
            steps.append(
                f"resized to {self.resize} pixels at its shorter side (Pillow's bilinear filter, "
                "antialiased)"
            )
        if self.crop is not None:
            steps.append(f"cropped to the central {self.crop} × {self.crop} pixels")
        return f"An image is {', '.join(steps)} and divided by 255."


AS_IT_IS = Geometry(None, None)
"""Images keep their size."""
