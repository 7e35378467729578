"""Damaged images and archives, odd names: a set of what is there, or one sentence; never more."""

import io
import tarfile
import time
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from squeezed.data.image_files import UnreadableImage, open_rgb
from squeezed.foundation.errors import UserError
from tests.data.test_folders import STREAMED, prepare
from tests.made_sources import class_files, image_bytes, write_folder, write_tar, write_zip

LONGEST_S = 20

KINDS = ["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "AVIF", "PPM", "JPEG2000"]
IMAGES = {kind: image_bytes(7, size=(10, 10), kind=kind) for kind in KINDS}

Change = Callable[[bytes], bytes]


def mutate(places_and_values) -> Change:
    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        for place, value in places_and_values:
            if changed:
                changed[int(place * len(changed)) % len(changed)] = value
        return bytes(changed)

    return change


def cut(share) -> Change:
    return lambda content: content[: int(share * len(content))]


def swap(share) -> Change:
    return lambda content: (
        content[int(share * len(content)) :] + content[: int(share * len(content))]
    )


PLACES = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
CHANGES = st.one_of(
    st.lists(PLACES, min_size=1, max_size=6).map(mutate),
    # Heads and tables of contents are where lengths and offsets stand.
    st.lists(st.tuples(st.floats(0, 0.1), st.integers(0, 255)), min_size=1, max_size=4).map(mutate),
    st.floats(0, 1).map(cut),
    st.floats(0, 1).map(swap),
    st.binary(max_size=60).map(lambda content: lambda _: content),
)


def decoded_images(contents):
    """All pictures that the files hold, decoded by Pillow alone, as raw pixels."""
    found = set()
    for content in contents:
        try:
            with Image.open(io.BytesIO(content)) as image:
                found.add(image.convert("RGB").tobytes())
                found.add(ImageOps.exif_transpose(image).convert("RGB").tobytes())
        except Exception:
            continue
    return found


def members(path):
    """The contents of an archive, by the library that reads it; as far as it can be read."""
    contents = []
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(member) for member in archive.infolist()]
        else:
            with tarfile.open(path) as archive:
                contents += [f.read() for m in archive if (f := archive.extractfile(m))]
    except Exception:
        pass
    return contents


def check(tmp_path, path, contents, storage):
    """Prepare; whatever comes of it is one sentence, or images that the source holds."""
    start = time.process_time()  # a busy machine is no hang
    try:
        dataset = prepare(tmp_path, path, **storage)
    except UserError as error:
        assert len(str(error)) < 1500
    else:
        if not storage:
            held = decoded_images(contents)
            for split in (dataset.train, dataset.validation, dataset.test):
                for pixels in split.pixels:
                    assert pixels.transpose(1, 2, 0).tobytes() in held
    assert time.process_time() - start < LONGEST_S


STORAGES = st.sampled_from([{}, STREAMED])


def fuzz_image(tmp_path, kind, change, storage):
    content = change(IMAGES[kind])
    try:
        open_rgb(content)
    except UnreadableImage as error:
        assert "0x" not in str(error)
    files = class_files(train=3, test=2, size=(10, 10)) | {"train/cat/0.png": content}
    check(tmp_path, write_folder(tmp_path / "x", files), files.values(), storage)


def fuzz_archive(tmp_path, kind, change, storage):
    files = class_files(train=3, test=2, size=(10, 10))
    path = tmp_path / f"x.{kind}"
    if kind == "zip":
        write_zip(path, files)
    else:
        write_tar(path, files, {"tar": "w", "tar.gz": "w:gz"}[kind])
    path.write_bytes(change(path.read_bytes()))
    check(tmp_path, path, members(path), storage)


ODD_NAMES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["..", ".", "", "/", "a/../b", "\\", "C:", "a\nb", "\x1b[31m", "~", "a" * 300,
                     "\udce9", "e\u0301", "CON", " ", "-", "train", "{}", "%s"]),
)  # fmt: skip


def fuzz_names(tmp_path, names, kind, storage):
    files = dict(class_files(train=3, test=2, size=(10, 10)))
    for n, (split, class_name, name) in enumerate(names):
        files[f"{split}/{class_name}/{name}.png"] = image_bytes(50 + n, size=(10, 10))
    path = tmp_path / f"x.{kind}"
    try:
        write_zip(path, files) if kind == "zip" else write_tar(path, files)
    except (UnicodeError, ValueError, IndexError):  # not even Python writes such an archive
        return
    check(tmp_path, path, members(path), storage)


NAMES = st.lists(
    st.tuples(
        st.sampled_from(["train", "test", "val", ""]) | ODD_NAMES,
        st.sampled_from(["cat", "dog"]) | ODD_NAMES,
        ODD_NAMES,
    ),
    max_size=3,
)

FUZZES = {
    "image": (fuzz_image, (st.sampled_from(KINDS), CHANGES, STORAGES)),
    "archive": (fuzz_archive, (st.sampled_from(["zip", "tar", "tar.gz"]), CHANGES, STORAGES)),
    "names": (fuzz_names, (NAMES, st.sampled_from(["zip", "tar"]), STORAGES)),
}


def run(fuzz, tmp_path_factory, examples):
    function, strategies = FUZZES[fuzz]

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.tuples(*strategies))
    def one(arguments):
        function(tmp_path_factory.mktemp("fuzz"), *arguments)

    one()


@pytest.mark.parametrize("fuzz", FUZZES)
def test_damage_is_refused_or_does_no_harm(tmp_path_factory, fuzz):
    run(fuzz, tmp_path_factory, 25)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fuzz", FUZZES)
def test_damage_is_refused_or_does_no_harm_at_length(tmp_path_factory, fuzz):
    run(fuzz, tmp_path_factory, 500)


def test_the_oracle_knows_the_pictures():
    """An image that the files do not hold would be found out."""
    held = decoded_images(class_files(size=(10, 10)).values())
    assert np.zeros((10, 10, 3), np.uint8).tobytes() not in held
    assert len(held) > 1
