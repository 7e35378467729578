"""The corruptions against their published definitions, and what all of them promise."""

import colorsys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_images

from squeezed.corruptions.blurs import disk
from squeezed.corruptions.corrupt import OPERATIONS, corrupt
from squeezed.corruptions.parameters import (
    CIFAR10_C,
    IMAGENET_C,
    KINDS,
    SEVERITIES,
    parameters,
    zoom_factors,
)
from squeezed.corruptions.sampling import (
    convolve,
    gaussian_blur,
    interpolate,
    motion_blur,
    zoom,
)
from squeezed.corruptions.weather import plasma_fractal


def photographs(n: int, side: int = 32) -> np.ndarray:
    """Return parts of two real photographs, shape (n, 3, side, side), in steps of 1/255."""
    pictures = [np.asarray(picture) for picture in load_sample_images().images]
    generator = np.random.default_rng(0)
    parts = []
    for index in range(n):
        picture = pictures[index % 2]
        y, x = generator.integers(0, (picture.shape[0] - 4 * side, picture.shape[1] - 4 * side))
        part = Image.fromarray(picture[y : y + 4 * side, x : x + 4 * side])
        parts.append(np.asarray(part.resize((side, side))).transpose(2, 0, 1))
    return np.stack(parts).astype(np.float32) / 255


def constant(value: float, n: int = 1, side: int = 32) -> np.ndarray:
    return np.full((n, 3, side, side), value, dtype=np.float32)


IMAGES = photographs(12)
INDICES = np.arange(12) * 7


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_corruption_promises(kind: str) -> None:
    made = corrupt(IMAGES, INDICES, kind, 3)
    assert made.shape == IMAGES.shape and made.dtype == np.float32
    assert made.min() >= 0 and made.max() <= 1
    assert np.abs(made * 255 - np.round(made * 255)).max() < 1e-4, "steps of 1/255"
    assert not np.array_equal(made, IMAGES)
    # The same pixels whichever images are beside it, and other ones for another seed.
    alone = corrupt(IMAGES[4:5], INDICES[4:5], kind, 3)
    assert np.array_equal(alone[0], made[4])
    again = corrupt(IMAGES, INDICES, kind, 3, seed=1)
    is_random = kind not in (
        "defocus_blur",
        "zoom_blur",
        "brightness",
        "contrast",
        "pixelate",
        "jpeg_compression",
    )
    assert np.array_equal(again, made) != is_random
    images = IMAGES.copy()
    corrupt(images, INDICES, kind, 5)
    assert np.array_equal(images, IMAGES), "the originals stay"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [32, 64])
def test_distance_grows_with_severity(kind: str, side: int) -> None:
    """But where the published parameters trade one thing for another."""
    images = photographs(24, side)
    distances = np.array(
        [
            np.sqrt(((corrupt(images, np.arange(24), kind, s) - images) ** 2).mean())
            for s in SEVERITIES
        ]
    )
    assert distances.min() > 0.002
    if kind in ("elastic_transform", "glass_blur"):
        return
    if kind == "frost":
        assert distances[2:].min() > distances[0], "its middle severities are brightest"
    else:  # each severity draws its own random numbers
        assert (distances[1:] > 0.98 * distances[:-1]).all()
        assert distances[4] > 1.2 * distances[0]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 24, 40), (1, 8, 8), (3, 96, 40)])
def test_other_shapes(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    for kind in KINDS:
        for severity in (1, 5):
            made = corrupt(images, np.array([3, 5]), kind, severity)
            assert made.shape == images.shape
            assert np.isfinite(made).all()


def test_the_parameters_are_the_published_ones() -> None:
    assert set(OPERATIONS) == set(CIFAR10_C) == set(IMAGENET_C) == set(KINDS)
    assert len(KINDS) == 15
    assert all(len(table[kind]) == 5 for table in (CIFAR10_C, IMAGENET_C) for kind in KINDS)
    assert parameters("gaussian_noise", 5, 32) == 0.10
    assert parameters("gaussian_noise", 5, 33) == 0.38
    assert parameters("elastic_transform", 5, 224) == IMAGENET_C["elastic_transform"][4]
    assert parameters("elastic_transform", 5, 32) == pytest.approx((32 * 0.1, 32 * 0.03, 32 * 0.03))
    assert parameters("elastic_transform", 5, 112)[0] == pytest.approx(244 * 0.12 / 2)
    assert len(zoom_factors(1.06, 0.01)) == len(np.arange(1, 1.06, 0.01))


def test_gaussian_noise_on_grey() -> None:
    noise = corrupt(constant(0.5, 40), np.arange(40), "gaussian_noise", 5) - 0.5
    assert noise.std() == pytest.approx(0.10, rel=0.02)
    assert noise.mean() == pytest.approx(-0.5 / 255, abs=1e-3), "the fraction is cut off"


def test_shot_noise_is_poissons() -> None:
    made = corrupt(constant(0.4, 40), np.arange(40), "shot_noise", 5)
    assert made.std() == pytest.approx(np.sqrt(0.4 / 50), rel=0.03)
    counts = np.unique(made)
    assert len(counts) < 51, "whole photons alone"


def test_impulses_are_black_or_white() -> None:
    made = corrupt(constant(100 / 255, 40), np.arange(40), "impulse_noise", 4)
    hit = made != np.float32(100 / 255)
    assert hit.mean() == pytest.approx(0.05, abs=0.003)
    assert set(np.unique(made[hit])) == {0.0, 1.0}
    assert (made[hit] == 1).mean() == pytest.approx(0.5, abs=0.03)


def test_contrast_and_brightness_by_hand() -> None:
    made = corrupt(IMAGES, INDICES, "contrast", 5) * 255
    means = IMAGES.mean(axis=(2, 3), keepdims=True)
    assert np.abs(made - ((IMAGES - means) * 0.15 + means) * 255 + 0.5).max() <= 0.51
    made = corrupt(IMAGES, INDICES, "brightness", 4) * 255
    for n, y, x in [(0, 3, 4), (5, 20, 9), (11, 31, 31)]:
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, IMAGES[n, :, y, x]))
        expected = colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + 0.2))
        assert made[n, :, y, x] == pytest.approx(255 * np.array(expected), abs=1.01)
    black = corrupt(constant(0), np.zeros(1, int), "brightness", 1)
    assert np.unique(black) == pytest.approx(np.floor(0.05 * 255) / 255)


def test_jpeg_and_pixels_are_pillows() -> None:
    pixels = np.round(IMAGES[3] * 255).astype(np.uint8).transpose(1, 2, 0)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=58)
    made = corrupt(IMAGES[3:4], np.array([3]), "jpeg_compression", 3)[0].transpose(1, 2, 0)
    assert np.array_equal(np.round(made * 255), np.asarray(Image.open(buffer)))
    halves = photographs(1, 64)
    made = corrupt(halves, np.zeros(1, int), "pixelate", 2)[0]
    blocks = halves[0].reshape(3, 32, 2, 32, 2).mean(axis=(2, 4))
    assert np.abs(made[:, ::2, ::2] - blocks).max() < 1.5 / 255
    assert np.array_equal(made[:, ::2, ::2], made[:, 1::2, 1::2])


def test_a_small_disk_is_a_gaussian_and_a_large_one_a_disk() -> None:
    """Radius 0.3 holds one pixel, which OpenCV's Gaussian of 3 pixels spreads."""
    weights = np.exp(-np.array([1, 0, 1]) / (2 * 0.4**2))
    weights /= weights.sum()
    assert disk(0.3, 0.4) == pytest.approx(np.outer(weights, weights), abs=1e-7)
    large = disk(3, 0.1)
    assert large.sum() == pytest.approx(1)
    assert (large > 1e-9).sum() == 29, "lattice points of a circle of radius 3"
    # OpenCV mirrors the kernel at its own border, where this one has weight.
    assert disk(10, 0.5).sum() == pytest.approx(1.0108, abs=1e-4)


def test_convolution_is_scipys() -> None:
    images, kernel = photographs(2, 40), disk(8, 0.5)
    theirs = ndimage.correlate(images, kernel[None, None], mode="mirror")
    assert np.abs(convolve(images, kernel) - theirs).max() < 1e-5
    blurred = gaussian_blur(images, 1.5, "nearest", 4)
    theirs = ndimage.gaussian_filter(images, (0, 0, 1.5, 1.5), mode="nearest", truncate=4)
    assert np.abs(blurred - theirs).max() < 1e-6


@pytest.mark.parametrize("factor", [1.0, 1.01, 1.07, 1.25, 1.75, 4.5])
@pytest.mark.parametrize("side", [32, 33])
def test_zooming_is_scipys(factor: float, side: int) -> None:
    images = photographs(2, side)
    cropped = int(np.ceil(side / factor))
    top = (side - cropped) // 2
    middle = images[:, :, top : top + cropped, top : top + cropped]
    theirs = ndimage.zoom(middle, (1, 1, factor, factor), order=1)
    trim = (theirs.shape[2] - side) // 2
    theirs = theirs[:, :, trim : trim + side, trim : trim + side]
    assert np.abs(zoom(images, factor) - theirs).max() < 1e-5


@pytest.mark.parametrize("mirror, mode", [(True, "mirror"), (False, "reflect")])
def test_interpolation_is_scipys(mirror: bool, mode: str) -> None:
    generator = np.random.default_rng(0)
    rows, columns = generator.uniform(-50, 80, (2, 12, 32, 32))
    made = interpolate(IMAGES, rows, columns, mirror=mirror)
    for n in (0, 7):
        for channel in range(3):
            theirs = ndimage.map_coordinates(
                IMAGES[n, channel], [rows[n], columns[n]], order=1, mode=mode
            )
            assert np.abs(made[n, channel] - theirs).max() < 1e-5


def test_motion_is_half_a_gaussian_along_its_direction() -> None:
    spot = np.zeros((3, 1, 31, 31), dtype=np.float32)
    spot[:, :, 15, 15] = 1
    made = motion_blur(spot, 5, 2.0, np.array([0.0, -90.0, 45.0]))[:, 0]
    weights = np.exp(-(np.arange(11) ** 2) / 8)
    weights /= weights.sum()
    assert made.sum(axis=(1, 2)) == pytest.approx(1, abs=1e-5)
    assert made[0, 15, 15:4:-1] == pytest.approx(weights, abs=1e-6)
    assert made[1, 15:26, 15] == pytest.approx(weights, abs=1e-6)
    assert (made[2] > 0).sum() < 11, "steps that fall on the same pixel join"
    flat = motion_blur(constant(0.3, 2), 9, 2.5, np.array([10.0, 33.0]))
    assert flat == pytest.approx(0.3, abs=1e-6), "the border goes on"


def test_glass_takes_pixels_from_nearby() -> None:
    """Without blur to speak of, each pixel is one of those within the distance."""
    made = np.round(corrupt(IMAGES, INDICES, "glass_blur", 1) * 255)
    original = np.round(IMAGES * 255)
    found = np.zeros((12, 32, 32), dtype=bool)
    for dy, dx in ((0, 0), (-1, 0), (0, -1), (-1, -1)):
        moved = np.roll(original, (-dy, -dx), axis=(2, 3))
        found |= (np.abs(made - moved) <= 1).all(axis=1)
    # A pixel may be copied on after its source changed, at the end of the order: few.
    assert found[:, 2:31, 2:31].mean() > 0.9
    assert (np.abs(made - original) <= 1).all(axis=1).mean() < 0.9


def test_plasma_is_a_fractal_height_map() -> None:
    generators = [np.random.default_rng(k) for k in range(20)]
    maps = plasma_fractal(generators, 32, 2.0)
    assert maps.shape == (20, 32, 32)
    assert maps.min(axis=(1, 2)).tolist() == [0] * 20
    assert maps.max(axis=(1, 2)).tolist() == [1] * 20
    rough = plasma_fractal([np.random.default_rng(k) for k in range(20)], 32, 1.2)

    def steps(heights: np.ndarray) -> float:
        return float(np.abs(np.diff(heights, axis=2)).mean() / heights.std())

    assert steps(rough) > 2 * steps(maps), "less decay is rougher"


def test_frost_and_fog_and_snow_brighten_black() -> None:
    black = constant(0, 20)
    numbers = np.arange(20)
    assert corrupt(black, numbers, "fog", 3).max() == 0, "fog is scaled to the brightest pixel"
    frost = corrupt(black, numbers, "frost", 1)
    assert frost.max() <= 0.2 and frost.mean() > 0.02
    assert len(np.unique(frost.mean(axis=(1, 2, 3)))) > 10, "other parts of the photographs"
    assert corrupt(black, numbers, "snow", 3).mean() > 0.05


def test_the_originals_stay_within_the_severities_asked() -> None:
    with pytest.raises(ValueError):
        corrupt(IMAGES, INDICES, "rain", 1)
    with pytest.raises(IndexError):
        corrupt(IMAGES, INDICES, "fog", 6)
