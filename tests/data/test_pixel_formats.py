"""Pixels of every depth and range come out as a viewer shows them, or are refused; never black."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from squeezed.data.image_files import UnreadableImage, brightest_grey, open_rgb
from squeezed.foundation.errors import UserError
from tests.data.test_folders import STREAMED, prepare
from tests.made_sources import class_files, write_folder

RAMP = np.tile(np.linspace(0, 255, 16).astype(np.uint8), (16, 1))


def encoded(pixels, kind="TIFF", **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def grey_of(content):
    pixels = np.asarray(open_rgb(content)).astype(int)
    assert pixels.shape == (16, 16, 3)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def white_is_zero():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    return {"tiffinfo": tags}


def packed_twelve_bits():
    """A TIFF of twelve bits a pixel, two pixels in three bytes."""
    values = (RAMP.astype(np.uint32) * 4095 // 255).ravel()
    first, second = values[::2], values[1::2]
    rows = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1)
    data = rows.astype(np.uint8).tobytes()
    entries = [(256, 16), (257, 16), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 16)]
    entries.append((279, len(data)))
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    ifd = struct.pack("<H", len(entries))
    for tag, value in entries:
        ifd += struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value)
    return head + data + ifd + bytes(4)


def palette_of_small_numbers():
    """A TIFF whose 16-bit palette was written in 8 bits, as some programs do."""
    image = Image.fromarray(RAMP, "P")
    image.putpalette([value for value in range(256) for _ in range(3)])
    content = encoded(image)
    full = struct.pack("<256H", *[value * 256 for value in range(256)]) * 3
    small = struct.pack("<256H", *range(256)) * 3
    assert content.count(full) == 1
    return content.replace(full, small)


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        pytest.param(encoded((RAMP / 255).astype(np.float32)), 0, id="float TIFF"),
        pytest.param(encoded(RAMP.astype(np.int32)), 0, id="32-bit TIFF"),
        pytest.param(encoded(RAMP.astype(np.uint16) * 257), 0, id="16-bit TIFF"),
        pytest.param(encoded(RAMP.astype(np.uint16) * 257, "PNG"), 0, id="16-bit PNG"),
        pytest.param(
            encoded(~(RAMP.astype(np.uint16) * 257), **white_is_zero()), 0, id="16-bit, 0 is white"
        ),
        pytest.param(
            b"P5 16 16 65535\n" + (RAMP.astype(">u2") * 257).tobytes(), 0, id="16-bit PGM"
        ),
        pytest.param(
            b"P5 16 16 4095\n" + (RAMP.astype(np.uint32) * 4095 // 255).astype(">u2").tobytes(),
            1,
            id="12-bit PGM",
        ),
        pytest.param(packed_twelve_bits(), 1, id="12-bit TIFF"),
        pytest.param(palette_of_small_numbers(), 0, id="16-bit palette of 8-bit colours"),
        pytest.param(encoded(RAMP.astype(np.uint16) * 257, "JPEG2000"), 1, id="16-bit JPEG 2000"),
        pytest.param(
            encoded(Image.merge("LA", [Image.fromarray(RAMP)] * 2), "PNG"), 0, id="grey and alpha"
        ),
    ],
)
def test_a_ramp_stays_a_ramp(content, tolerance):
    assert np.abs(grey_of(content) - RAMP).max() <= tolerance
    brightest = brightest_grey(content)
    assert brightest is None or brightest > 0.99


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (RAMP.astype(np.float32), r"floating point numbers from 0 to 255.*\[0, 1\]"),
        (RAMP.astype(np.float32) / 255 - 0.5, r"floating point numbers from -0\.5 to 0\.5"),
        (np.full((4, 4), np.nan, np.float32), r"floating point numbers from nan"),
        (RAMP.astype(np.int32) * 257, r"32-bit or signed whole numbers from 0 to 65535"),
        (RAMP.astype(np.int32) - 128, r"32-bit or signed whole numbers from -128 to 127"),
    ],
)
def test_numbers_without_a_known_range_are_refused(pixels, sentence):
    for read in (open_rgb, brightest_grey):
        with pytest.raises(UnreadableImage, match=sentence):
            read(encoded(pixels))


@pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])
@pytest.mark.parametrize("bits", [10, 12])
def test_a_set_of_fewer_bits_than_its_files_have_is_refused(tmp_path, bits, storage):
    """No single file can tell a dark picture from one of 12 bits in 16; all of them can."""
    files = {
        name.replace(".png", ".tif"): encoded(np.roll(RAMP, n, 1).astype(np.uint16) << (bits - 8))
        for n, name in enumerate(class_files())
    }
    root = write_folder(tmp_path / "x", files)
    with pytest.raises(UserError, match=rf"goes up to {255 << (bits - 8)} of 65535"):
        prepare(tmp_path, root, **storage)
    one_full = encoded(RAMP.astype(np.uint16) * 257)
    write_folder(root, {"train/cat/0.tif": one_full})
    assert len(prepare(tmp_path, root, **storage).test) == 4


@pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])
def test_coloured_images_of_twelve_bits_in_sixteen_are_refused(tmp_path, storage):
    """Pillow keeps the upper eight bits of these, so that only their darkness tells."""
    files = {n: encoded(np.full((8, 8, 3), k % 15, np.uint8), "PNG")
             for k, n in enumerate(class_files())}  # fmt: skip
    with pytest.raises(UserError, match=r"nearly black: no pixel .* brighter than"):
        prepare(tmp_path, write_folder(tmp_path / "x", files), **storage)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<!DOCTYPE html>\n<html>not found</html>", "it is an HTML page"),
        (b"", "it is empty"),
        (bytes(100), "it holds nothing but zeros"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "it is a HEIC image"),
        (b"GIF", r"no image of a kind that is read; it begins with b'GIF'"),
    ],
)
def test_what_is_no_image_is_said_in_words(content, sentence):
    with pytest.raises(UnreadableImage, match=sentence) as error:
        open_rgb(content)
    assert "0x" not in str(error.value), "an address in memory says nothing"
