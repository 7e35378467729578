"""Every corruption at every severity on a known image, beside its definition for a single one.

The definitions are those of CIFAR-10-C, written down pixel by pixel or by scipy and Pillow, with
the published parameters; random numbers are drawn in the same order.
"""

import colorsys
from collections.abc import Callable
from importlib import resources
from io import BytesIO

import numpy as np
import pytest
from numpy.random import Generator
from PIL import Image
from scipy import ndimage

from squeezed.corruptions.corrupt import corrupt
from squeezed.corruptions.parameters import KINDS, SEVERITIES
from squeezed.data.photographs import read_photographs

SIDE = 32
# Each has its own random numbers: of one alone, motion may be level, where up is down.
INDICES = np.array([11, 0])
# In whole levels of 255, as a file holds them: the part with the most edges, which blur changes.
PIXELS = read_photographs(0)["test"][0][288]
X = PIXELS / 255.0


def noise(scale: float, g: Generator) -> np.ndarray:
    return X + scale * g.standard_normal(X.shape, dtype=np.float32)


def shot(photons: float, g: Generator) -> np.ndarray:
    return g.poisson(photons * X.astype(np.float32)) / photons


def impulses(amount: float, g: Generator) -> np.ndarray:
    hit, salt = g.random((2, *X.shape), dtype=np.float32)
    return np.where(hit < amount, salt < 0.5, X)


def defocus(parameters: tuple[float, float], g: Generator) -> np.ndarray:
    radius, edge = parameters
    line = np.arange(-8, 9)
    kernel = (line[:, None] ** 2 + line**2 <= radius**2).astype(float)
    kernel /= kernel.sum()
    gaussian = np.exp(-np.array([1, 0, 1]) / (2 * edge**2))
    gaussian /= gaussian.sum()
    kernel = ndimage.correlate(kernel, np.outer(gaussian, gaussian), mode="mirror")
    return np.stack([ndimage.correlate(plane, kernel, mode="mirror") for plane in X])


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(image, (0, sigma, sigma), mode="nearest", truncate=4)


def glass(parameters: tuple[float, int, int], g: Generator) -> np.ndarray:
    sigma, distance, rounds = parameters
    made = np.uint8(blurred(X, sigma) * 255)
    steps = g.integers(-distance, distance, (rounds, SIDE, SIDE, 2))
    for turn in range(rounds):
        for row in range(SIDE - distance, distance, -1):
            for column in range(SIDE - distance, distance, -1):
                right, down = steps[turn, row, column]
                made[:, row, column] = made[:, row + down, column + right]
    return blurred(made / 255.0, sigma)


def moved(image: np.ndarray, radius: int, sigma: float, degrees: float) -> np.ndarray:
    """Blur planes (n, side, side) along a direction, by half a Gaussian; the edge goes on."""
    made, total = np.zeros_like(image), 0.0
    for step in range(2 * radius + 1):
        weight = np.exp(-(step**2) / (2 * sigma**2))
        total += weight
        angle = np.deg2rad(degrees)
        down = int(np.ceil(step * np.sin(angle) - 0.5))
        right = int(np.ceil(step * np.cos(angle) - 0.5))
        y, x = (np.clip(np.arange(SIDE) + by, 0, SIDE - 1) for by in (down, right))
        made += weight * image[:, y][:, :, x]
    return made / total


def motion(parameters: tuple[int, float], g: Generator) -> np.ndarray:
    return moved(X, *parameters, g.uniform(-45, 45))


def zoomed(image: np.ndarray, factor: float) -> np.ndarray:
    kept = int(np.ceil(SIDE / factor))
    first = (SIDE - kept) // 2
    middle = image[:, first : first + kept, first : first + kept]
    large = ndimage.zoom(middle, (1, factor, factor), order=1)
    trim = (large.shape[1] - SIDE) // 2
    return large[:, trim : trim + SIDE, trim : trim + SIDE]


def zooming(last: float, g: Generator) -> np.ndarray:
    factors = np.arange(1, last, 0.01)
    return (X + sum(zoomed(X, factor) for factor in factors)) / (len(factors) + 1)


def snow(parameters: tuple[float, ...], g: Generator) -> np.ndarray:
    mean, spread, factor, threshold, radius, sigma, kept = parameters
    layer = zoomed(mean + spread * g.standard_normal((1, SIDE, SIDE), dtype=np.float32), factor)
    layer[layer < threshold] = 0
    flakes = np.floor(np.clip(layer, 0, 1) * 255)
    fallen = np.round(moved(flakes, int(radius), sigma, g.uniform(-135, -45))) / 255
    grey = 0.299 * X[0] + 0.587 * X[1] + 0.114 * X[2]
    whitened = kept * X + (1 - kept) * np.maximum(X, 1.5 * grey + 0.5)
    return whitened + fallen + np.rot90(fallen, 2, axes=(1, 2))


def frost(parameters: tuple[float, float], g: Generator) -> np.ndarray:
    number = (1, 2, 2, 3, 4)[g.integers(5)]
    folder = resources.files("squeezed.corruptions") / "frost"
    with (folder / f"frost{number}.jpg").open("rb") as file:
        layer = np.asarray(Image.open(file).convert("RGB"))[2::5, 2::5]
    top, left = (int(g.integers(length - SIDE)) for length in layer.shape[:2])
    part = layer[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)
    return parameters[0] * X + parameters[1] * part / 255


def fog(parameters: tuple[float, float], g: Generator) -> np.ndarray:
    amount, decay = parameters
    heights = np.zeros((SIDE, SIDE))
    step, size = SIDE, 100.0

    def at(row: int, column: int) -> float:
        return heights[row % SIDE, column % SIDE]

    def fill(rows: int, columns: int, around: list[tuple[int, int]]) -> None:
        """Set every `step`-th pixel from (rows, columns) on to the mean around it and a wobble."""
        drawn = g.uniform(-size, size, (SIDE // step, SIDE // step))
        for i, j in np.ndindex(drawn.shape):
            row, column = rows + i * step, columns + j * step
            mean = sum(at(row + down, column + right) for down, right in around) / 4
            heights[row, column] = mean + size * drawn[i, j]

    while step >= 2:
        half = step // 2
        beside = [(-half, 0), (half, 0), (0, -half), (0, half)]
        fill(half, half, [(a, b) for a in (-half, half) for b in (-half, half)])
        fill(0, half, beside)
        fill(half, 0, beside)
        step, size = half, size / decay
    heights -= heights.min()
    return (X + amount * heights / heights.max()) * X.max() / (X.max() + amount)


def brightened(amount: float, g: Generator) -> np.ndarray:
    made = np.empty_like(X)
    for row, column in np.ndindex(SIDE, SIDE):
        hue, saturation, value = colorsys.rgb_to_hsv(*X[:, row, column])
        made[:, row, column] = colorsys.hsv_to_rgb(hue, saturation, min(1, value + amount))
    return made


def flattened(share: float, g: Generator) -> np.ndarray:
    means = X.mean(axis=(1, 2), keepdims=True)
    return (X - means) * share + means


def elastic(parameters: tuple[float, float, float], g: Generator) -> np.ndarray:
    strength, sigma, shift = (SIDE * share for share in parameters)
    ends = np.array([[26, 26], [26, 6], [6, 6]]) + g.uniform(-shift, shift, (3, 2))
    starts = np.array([[26, 26, 1], [26, 6, 1], [6, 6, 1]])
    forth = np.vstack([np.linalg.solve(starts, ends).T, [0, 0, 1]])
    back = np.linalg.inv(forth)
    y, x = np.indices((SIDE, SIDE))
    from_x, from_y, _ = np.tensordot(back, np.stack([x, y, np.ones_like(x)]), axes=1)
    bent = [ndimage.map_coordinates(p, [from_y, from_x], order=1, mode="mirror") for p in X]
    right, down = (
        strength * ndimage.gaussian_filter(field, sigma, mode="reflect", truncate=3)
        for field in g.uniform(-1, 1, (2, SIDE, SIDE))
    )
    places = [y + down, x + right]
    return np.stack([ndimage.map_coordinates(p, places, order=1, mode="reflect") for p in bent])


def pixelated(share: float, g: Generator) -> np.ndarray:
    picture = Image.fromarray(PIXELS.transpose(1, 2, 0))
    small = picture.resize((int(SIDE * share),) * 2, Image.Resampling.BOX)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX)).transpose(2, 0, 1) / 255


def saved(quality: int, g: Generator) -> np.ndarray:
    buffer = BytesIO()
    Image.fromarray(PIXELS.transpose(1, 2, 0)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer)).transpose(2, 0, 1) / 255


PUBLISHED: dict[str, tuple[Callable[..., np.ndarray], tuple]] = {
    "gaussian_noise": (noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (shot, (500, 250, 100, 75, 50)),
    "impulse_noise": (impulses, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": (defocus, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass_blur": (glass, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))),
    "motion_blur": (motion, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": (zooming, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "snow": (
        snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": (frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": (fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (brightened, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (flattened, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": (
        elastic,
        (
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
    ),
    "pixelate": (pixelated, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": (saved, (80, 65, 58, 50, 40)),
}
"""Each definition, and its parameters at severities 1 to 5."""


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("kind", KINDS)
def test_known_pixels(kind: str, severity: int) -> None:
    definition, parameters = PUBLISHED[kind]
    generators = (np.random.default_rng([0, KINDS.index(kind), severity, i]) for i in INDICES)
    defined = np.stack([definition(parameters[severity - 1], own) for own in generators])
    expected = np.floor(np.clip(defined, 0, 1) * 255 + 1e-9)
    images = np.stack([X] * len(INDICES)).astype(np.float32)
    made = np.round(corrupt(images, INDICES, kind, severity) * 255)
    # The fraction is cut off, so that rounding in 32 bits may make a level of difference.
    assert np.abs(made - expected).max() <= 1
    assert (made == expected).mean(axis=(1, 2, 3)).min() > 0.9
    assert (made != PIXELS).mean(axis=(1, 2, 3)).min() > 0.005
