"""What processing does: contrast, elastic distortion, large pixels, JPEG."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image

from squeezed.corruptions.noise import Generators
from squeezed.corruptions.sampling import Images, gaussian_blur, interpolate


def contrast(images: Images, generators: Generators, share: float) -> Images:
    """Bring each channel nearer to its mean."""
    means = images.mean(axis=(2, 3), keepdims=True)
    return (images - means) * np.float32(share) + means


def elastic_transform(
    images: Images, generators: Generators, parameters: tuple[float, float, float]
) -> Images:
    """Move three points of the image at random with all between them, then each pixel smoothly."""
    strength, sigma, shift = parameters
    n, _, height, width = images.shape
    moved = np.stack([g.uniform(-shift, shift, (3, 2)) for g in generators])
    fields = np.stack([g.uniform(-1, 1, (2, height, width)).astype(np.float32) for g in generators])
    rows, columns = np.indices((height, width), dtype=np.float64)

    centre = np.array([width // 2, height // 2], dtype=np.float64)
    reach = min(height, width) // 3
    before = centre + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    ones = np.ones((n, 3, 1))
    after = np.concatenate([before + moved, ones], axis=2)
    # Where each pixel of the result comes from: the inverse of the map of the three points.
    inverse = np.linalg.solve(after, np.broadcast_to(before, (n, 3, 2)))
    places = np.stack([columns, rows, np.ones_like(rows)], axis=-1).reshape(-1, 3)
    x, y = np.moveaxis((places @ inverse).reshape(n, height, width, 2), -1, 0)
    bent = interpolate(images, y, x, mirror=True)
    if strength == 0:
        return bent
    right, down = np.moveaxis(gaussian_blur(fields, sigma, "reflect", 3) * strength, 1, 0)
    return interpolate(bent, rows + down, columns + right, mirror=False)


def pixelate(images: Images, generators: Generators, share: float) -> Images:
    """Shrink to this share of each side and enlarge again, by averaging."""

    def shrunk(picture: Image.Image) -> Image.Image:
        size = (max(1, int(picture.width * share)), max(1, int(picture.height * share)))
        small = picture.resize(size, Image.Resampling.BOX)
        return small.resize(picture.size, Image.Resampling.BOX)

    return _each_picture(images, shrunk)


def jpeg_compression(images: Images, generators: Generators, quality: int) -> Images:
    """Save as JPEG of this quality, and read again."""

    def saved(picture: Image.Image) -> Image.Image:
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer)

    return _each_picture(images, saved)


def _each_picture(images: Images, change: Callable[[Image.Image], Image.Image]) -> Images:
    """Change each image as a picture of 8 bits; a single channel as a grey one."""
    pixels = np.round(images * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    changed = []
    for picture in pixels:
        grey = picture.shape[2] == 1
        made = change(Image.fromarray(picture[..., 0] if grey else picture))
        changed.append(np.asarray(made).reshape(picture.shape))
    stacked = np.stack(changed).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(stacked).astype(np.float32) / np.float32(255)
