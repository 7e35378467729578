"""What several corruptions share: convolution, interpolation and shifts of many images at once.

Images are float32 of shape (n, channels, height, width); a plane for each image, such as a layer of
snow, is (n, height, width).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Images = NDArray[np.float32]


def gaussian_blur(images: Images, sigma: float, mode: str, truncate: float) -> Images:
    """Blur the last two axes; `mode` is how `scipy.ndimage` goes on beyond the border."""
    if sigma == 0:
        return images
    for axis in (-2, -1):
        images = ndimage.gaussian_filter1d(images, sigma, axis, mode=mode, truncate=truncate)
    return images


def convolve(images: Images, kernel: NDArray[np.float32]) -> Images:
    """Convolve the last two axes with a symmetric kernel of odd sides, the border mirrored."""
    height, width = images.shape[-2:]
    top, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    around = [(0, 0)] * (images.ndim - 2) + [(top, top), (left, left)]
    # Mirrored as often as a small image needs it.
    padded = np.pad(images, around, mode="reflect")
    shape = [fft.next_fast_len(size, real=True) for size in padded.shape[-2:]]
    product = fft.rfft2(padded, shape) * fft.rfft2(kernel, shape)
    found = fft.irfft2(product, shape)
    return found[..., 2 * top : 2 * top + height, 2 * left : 2 * left + width].astype(np.float32)


def zoom_matrix(size: int, factor: float) -> NDArray[np.float32]:
    """Return the matrix (size, size) that enlarges the middle of a line by `factor`, linearly.

    It crops ceil(size / factor) pixels, samples them as `scipy.ndimage.zoom` with `order=1` does,
    and trims what is more than `size`.
    """
    cropped = int(np.ceil(size / factor))
    first = (size - cropped) // 2
    enlarged = round(cropped * factor)
    trimmed = (enlarged - size) // 2
    positions = np.arange(trimmed, trimmed + size) * ((cropped - 1) / max(enlarged - 1, 1))
    positions = np.clip(positions, 0, cropped - 1)
    below = np.minimum(np.floor(positions).astype(np.int64), cropped - 1)
    above = np.minimum(below + 1, cropped - 1)
    weight = positions - below
    matrix = np.zeros((size, size), dtype=np.float32)
    rows = np.arange(size)
    np.add.at(matrix, (rows, first + below), 1 - weight)
    np.add.at(matrix, (rows, first + above), weight)
    return matrix


def zoom(images: Images, factor: float) -> Images:
    """Enlarge the middle of the last two axes by `factor`, keeping their size."""
    rows, columns = (zoom_matrix(size, factor) for size in images.shape[-2:])
    return (rows @ images @ columns.T).astype(np.float32, copy=False)


def interpolate(
    images: Images, rows: NDArray[np.float64], columns: NDArray[np.float64], *, mirror: bool
) -> Images:
    """Sample each image at its own positions, bilinearly.

    Args:
        images: shape (n, channels, height, width).
        rows, columns: shape (n, height, width), in pixels.
        mirror: beyond the border, whether the outermost pixel is where the image is mirrored
            (c b | a b c) or is repeated first (b a | a b c).
    """
    height, width = images.shape[-2:]
    top, left = np.floor(rows), np.floor(columns)
    down, right = (
        (rows - top).astype(np.float32)[:, None],
        (columns - left).astype(np.float32)[:, None],
    )
    y, x = top.astype(np.int64), left.astype(np.int64)
    picked = [
        _pick(images, _folded(y + dy, height, mirror), _folded(x + dx, width, mirror))
        for dy in (0, 1)
        for dx in (0, 1)
    ]
    upper = picked[0] * (1 - right) + picked[1] * right
    lower = picked[2] * (1 - right) + picked[3] * right
    return (upper * (1 - down) + lower * down).astype(np.float32, copy=False)


def motion_blur(images: Images, radius: int, sigma: float, degrees: NDArray[np.floating]) -> Images:
    """Blur each image along its own direction, as ImageMagick's motion blur does.

    Half a Gaussian of 2 · `radius` + 1 steps; beyond the border the outermost pixel goes on.

    Args:
        images: shape (n, channels, height, width).
        radius: of the motion, in pixels.
        sigma: of the Gaussian, in pixels.
        degrees: direction of each image's motion, shape (n,).
    """
    height, width = images.shape[-2:]
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(np.float32)
    angle = np.deg2rad(degrees)
    rows, columns = np.arange(height), np.arange(width)
    blurred = np.zeros_like(images)
    for step, weight in zip(steps, weights, strict=True):
        down = np.ceil(step * np.sin(angle) - 0.5).astype(np.int64)
        right = np.ceil(step * np.cos(angle) - 0.5).astype(np.int64)
        y = np.clip(rows + down[:, None], 0, height - 1)
        x = np.clip(columns + right[:, None], 0, width - 1)
        shape = (len(images), height, width)
        blurred += weight * _pick(
            images, np.broadcast_to(y[:, :, None], shape), np.broadcast_to(x[:, None], shape)
        )
    return blurred


def _pick(images: Images, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Images:
    n, channels, height, width = images.shape
    flat = images.reshape(n, channels, height * width)
    places = (rows * width + columns).reshape(n, 1, height * width)
    return np.take_along_axis(flat, places, axis=2).reshape(images.shape)


def _folded(positions: NDArray[np.int64], size: int, mirror: bool) -> NDArray[np.int64]:
    if size == 1:
        return np.zeros_like(positions)
    period = 2 * size - 2 if mirror else 2 * size
    positions = np.mod(positions, period)
    return np.where(positions < size, positions, period - positions - (0 if mirror else 1))
