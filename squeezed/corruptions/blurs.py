"""Blur: out of focus, through frosted glass, of motion, of zooming."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from squeezed.corruptions.noise import Generators
from squeezed.corruptions.parameters import zoom_factors
from squeezed.corruptions.sampling import Images, convolve, gaussian_blur, motion_blur, zoom


def defocus_blur(images: Images, generators: Generators, parameters: tuple[float, float]) -> Images:
    """Convolve with a disk of a radius, its own edge smoothed by a Gaussian."""
    return convolve(images, disk(*parameters))


def glass_blur(
    images: Images, generators: Generators, parameters: tuple[float, int, int]
) -> Images:
    """Blur, let each pixel take the value of one nearby, line by line from the end, blur again.

    The published code means to swap the two pixels; what it does, and the published images show, is
    to copy one of them, because it assigns through views.
    """
    sigma, distance, rounds = parameters
    n, _, height, width = images.shape
    blurred = gaussian_blur(images, sigma, "nearest", 4)
    pixels = np.floor(blurred * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    pixels = np.ascontiguousarray(pixels)
    steps = np.stack(
        [g.integers(-distance, distance, (rounds, height, width, 2)) for g in generators]
    )
    everyone = np.arange(n)
    for turn in range(rounds):
        for row in range(height - distance, distance, -1):
            for column in range(width - distance, distance, -1):
                right, down = steps[:, turn, row, column].T
                pixels[:, row, column] = pixels[everyone, row + down, column + right]
    shuffled = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    shuffled /= np.float32(255)
    return gaussian_blur(shuffled, sigma, "nearest", 4)


def motion_blurred(images: Images, generators: Generators, parameters: tuple[int, float]) -> Images:
    """Blur along a direction between −45° and 45°."""
    degrees = np.array([g.uniform(-45, 45) for g in generators])
    return motion_blur(images, *parameters, degrees)


def zoom_blur(images: Images, generators: Generators, parameters: tuple[float, float]) -> Images:
    """Average the image and its enlargements."""
    factors = zoom_factors(*parameters)
    total = images.copy()
    for factor in factors:
        total += zoom(images, factor)
    return total / np.float32(len(factors) + 1)


def disk(radius: float, edge: float) -> NDArray[np.float32]:
    """Return the kernel of a disk whose edge is smoothed by a Gaussian of 3 or 5 pixels."""
    reach, taps = (8, 1) if radius <= 8 else (int(radius), 2)
    line = np.arange(-reach, reach + 1)
    inside = (line[:, None] ** 2 + line**2 <= radius**2).astype(np.float64)
    inside /= inside.sum()
    weights = np.exp(-(np.arange(-taps, taps + 1) ** 2) / (2 * edge**2))
    weights /= weights.sum()
    for axis in (0, 1):
        inside = ndimage.correlate1d(inside, weights, axis, mode="mirror")
    used = np.flatnonzero(inside.any(axis=1))
    return inside[used[0] : used[-1] + 1, used[0] : used[-1] + 1].astype(np.float32)
