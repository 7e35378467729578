"""Weather: snow, frost, fog and bright light."""

import functools
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from squeezed.corruptions.noise import Generators
from squeezed.corruptions.parameters import SMALL
from squeezed.corruptions.sampling import Images, motion_blur, zoom

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
PHOTOGRAPHS = (1, 2, 2, 3, 4)
"""The published code draws one of the first five of its six files; two hold the same picture."""

SHRINK = 5
"""On small images every fifth pixel of a photograph, as CIFAR-10-C's resizing amounts to."""


def snow(images: Images, generators: Generators, parameters: tuple[float, ...]) -> Images:
    """Whiten the image and let flakes fall over it, enlarged noise blurred along its fall."""
    mean, spread, enlargement, threshold, radius, sigma, kept = parameters
    shape = images.shape[-2:]
    layer = np.stack([g.standard_normal(shape, dtype=np.float32) for g in generators])
    layer = zoom(np.float32(mean) + np.float32(spread) * layer, enlargement)
    layer[layer < threshold] = 0
    flakes = np.floor(np.clip(layer, 0, 1) * 255).astype(np.float32)
    degrees = np.array([g.uniform(-135, -45) for g in generators])
    fallen = motion_blur(flakes[:, None], int(radius), sigma, degrees)
    fallen = np.round(fallen) / np.float32(255)
    grey = np.einsum("nchw,c->nhw", images, luma_of(images))[:, None]
    whitened = np.maximum(images, 1.5 * grey + 0.5)
    whitened = np.float32(kept) * images + np.float32(1 - kept) * whitened
    return whitened + fallen + fallen[:, :, ::-1, ::-1]


def frost(images: Images, generators: Generators, parameters: tuple[float, float]) -> Images:
    """Lay a part of one of five photographs of frost over the image."""
    of_image, of_frost = (np.float32(value) for value in parameters)
    height, width = images.shape[-2:]
    layers = []
    for generator in generators:
        photograph = _fitting(PHOTOGRAPHS[generator.integers(len(PHOTOGRAPHS))], height, width)
        top = int(generator.integers(photograph.shape[1] - height))
        left = int(generator.integers(photograph.shape[2] - width))
        layers.append(photograph[:, top : top + height, left : left + width])
    layer = np.stack(layers)
    if images.shape[1] != 3:
        layer = np.einsum("nchw,c->nhw", layer, LUMA)[:, None]
    return of_image * images + of_frost * layer


def fog(images: Images, generators: Generators, parameters: tuple[float, float]) -> Images:
    """Add a plasma fractal of this much contrast, and scale back to the brightest pixel."""
    amount, decay = parameters
    height, width = images.shape[-2:]
    size = 1 << (max(height, width) - 1).bit_length()
    layer = plasma_fractal(generators, size, decay)[:, None, :height, :width]
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    return (images + amount * layer) * brightest / (brightest + amount)


def brightness(images: Images, generators: Generators, amount: float) -> Images:
    """Raise the value of hue, saturation and value."""
    value = images.max(axis=1, keepdims=True)
    raised = np.minimum(value + np.float32(amount), 1)
    # Hue and saturation stay: all channels grow alike; black has none and becomes grey.
    return np.where(value > 0, images * (raised / np.where(value > 0, value, 1)), raised)


def plasma_fractal(generators: Generators, size: int, decay: float) -> Images:
    """Return height maps by the diamond-square algorithm, (n, size, size) in [0, 1].

    Args:
        generators: one for each map.
        size: of the map, a power of two.
        decay: by what the random displacement is divided when the grid is halved.
    """
    n = len(generators)
    heights = np.zeros((n, size, size))
    step, wibble = size, 100.0

    def displaced(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = np.stack([g.uniform(-wibble, wibble, sums.shape[1:]) for g in generators])
        return sums / 4 + wibble * drawn

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        squares = corners + np.roll(corners, -1, axis=1)
        squares += np.roll(squares, -1, axis=2)
        heights[:, half::step, half::step] = displaced(squares)
        centres, corners = heights[:, half::step, half::step], heights[:, ::step, ::step]
        above = centres + np.roll(centres, 1, axis=1)
        beside = corners + np.roll(corners, -1, axis=2)
        heights[:, ::step, half::step] = displaced(above + beside)
        before = centres + np.roll(centres, 1, axis=2)
        below = corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, ::step] = displaced(before + below)
        step, wibble = half, wibble / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return (heights / heights.max(axis=(1, 2), keepdims=True)).astype(np.float32)


def luma_of(images: Images) -> NDArray[np.float32]:
    """Return the channels' weights in the brightness."""
    return LUMA if images.shape[1] == 3 else np.full(images.shape[1], 1 / images.shape[1], "f4")


@functools.cache
def _fitting(number: int, height: int, width: int) -> Images:
    """Return a photograph, (3, more than height, more than width), in [0, 1]."""
    folder = resources.files("squeezed.corruptions") / "frost"
    with (folder / f"frost{number}.jpg").open("rb") as file:
        picture = Image.open(file).convert("RGB")
    if max(height, width) <= SMALL:
        pixels = np.asarray(picture)[SHRINK // 2 :: SHRINK, SHRINK // 2 :: SHRINK]
    else:
        least = max(height / picture.height, width / picture.width)
        if least >= 1:
            size = [int(np.ceil(1.1 * least * side)) for side in picture.size]
            picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        pixels = np.asarray(picture)
    return pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
