"""What folders and archives of real life hold beside images: links, names, doubles, thumbnails."""

import os
import struct
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from squeezed.data import open_dataset
from squeezed.foundation.errors import UserError
from squeezed.foundation.source_stamp import source_stamp
from tests.data.test_folders import STREAMED, prepare, run_script, written
from tests.data.test_pixel_formats import encoded
from tests.made_sources import class_files, dataset_settings, image_bytes, write_folder, write_zip

STORAGES = pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])


def pixels_of(dataset):
    splits = (dataset.train, dataset.validation, dataset.test)
    return np.concatenate([(split.images() * 255).round() for split in splits])


@STORAGES
@pytest.mark.parametrize("again", ["train/cat/0.png", "./train/cat/0.png", "train//cat/0.png"])
@pytest.mark.parametrize("kind", ["zip", "w", "w:gz"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_files_of_one_name_the_last_counts(tmp_path, kind, again, storage):
    old, new = (encoded(Image.new("RGB", (10, 10), (grey,) * 3), "PNG") for grey in (100, 200))
    files = dict.fromkeys(class_files(size=(10, 10)), old)
    path = written(kind, tmp_path, files)
    repeat(path, kind, {**files, again: new} if again not in files else files, again, new)
    dataset = prepare(tmp_path, path, **storage)
    pixels = pixels_of(dataset)
    assert len(pixels) == 12
    assert sorted(set(np.unique(pixels))) == [100, 200]
    if not storage:
        assert dataset.source["repeated"] == 1


def repeat(path, kind, files, name, content):
    """Write an archive whose last member has the name of an earlier one."""
    import io
    import tarfile

    if kind == "zip":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, content)
        return
    with tarfile.open(path, kind) as archive:
        for member, inside in [*((n, c) for n, c in files.items() if n != name), (name, content)]:
            if member == name:
                first = tarfile.TarInfo("train/cat/0.png")
                first.size = len(files["train/cat/0.png"])
                archive.addfile(first, io.BytesIO(files["train/cat/0.png"]))
            info = tarfile.TarInfo(member)
            info.size = len(inside)
            archive.addfile(info, io.BytesIO(inside))


def test_the_first_of_two_files_may_be_damaged(tmp_path):
    """What unpacking would overwrite need not be readable."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("train/cat/0.png", b"half an image")
        for name, content in class_files().items():
            archive.writestr(name, content)
    assert len(prepare(tmp_path, path).train) == 6


@pytest.mark.parametrize(
    ("method", "sentence"), [(9, "Deflate64"), (93, "zstd"), (98, "PPMd"), (77, "method 77")]
)
def test_a_zip_of_another_compression_is_named(tmp_path, method, sentence):
    path = write_zip(tmp_path / "x.zip", class_files())
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + offset : at + offset + 2] = struct.pack("<H", method)
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"compressed with {sentence}, not read: unpack it"):
        prepare(tmp_path, path)


@pytest.mark.parametrize("name", ["x.7z", "x.zip", "x.tar.zst", "x.tar", "x"])
@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7z archive"),
        (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "compressed with zstd"),
        (b"\x04\x22\x4d\x18\x64\x40", "compressed with lz4"),
    ],
)
def test_an_archive_that_is_not_read_is_called_what_it_is(tmp_path, name, start, sentence):
    """Whatever its name says."""
    (tmp_path / name).write_bytes(start + bytes(2000))
    with pytest.raises(UserError, match=f"{sentence}, which is not read: unpack it"):
        prepare(tmp_path, tmp_path / name)


@STORAGES
def test_a_zip_of_windows_with_backslashes_is_read(tmp_path, storage):
    files = {name.replace("/", "\\"): content for name, content in class_files().items()}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    assert len(prepare(tmp_path, tmp_path / "x.zip", **storage).train) == 6


def test_a_backslash_does_not_lead_out_either(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, content in (class_files() | {"train\\..\\..\\x.png": b""}).items():
            archive.writestr(zipfile.ZipInfo(name), content)
    with pytest.raises(UserError, match="leads out of it"):
        prepare(tmp_path, tmp_path / "x.zip")


def test_a_mac_s_zip_without_the_mark_of_utf8_keeps_its_letters(tmp_path):
    path = write_zip(tmp_path / "x.zip", class_files(("café", "dog")))
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 9), (b"PK\x03\x04", 7)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + offset] &= ~8
    path.write_bytes(content)
    assert prepare(tmp_path, path).class_names == ["café", "dog"]


@STORAGES
@pytest.mark.parametrize("where", ["train/cat/0.png", "test/dog/new.png"])
@pytest.mark.parametrize("target", ["../../.git/annex/objects/xx", "new.png", "0.png"])
def test_an_image_that_is_a_link_to_nowhere_is_named(tmp_path, where, target, storage):
    """As git-annex leaves them where images were not fetched; or a link to itself."""
    root = write_folder(tmp_path / "x", class_files())
    (root / where).unlink(missing_ok=True)
    if target == "0.png" and where != "train/cat/0.png":
        target = "nothing.png"
    (root / where).symlink_to(target)
    assert source_stamp(str(root), tmp_path / "none.json")
    with pytest.raises(UserError, match=f"{where} cannot be read as an image: it is a link to now"):
        prepare(tmp_path, root, **storage)


@STORAGES
@pytest.mark.timeout(60)
def test_a_pipe_among_the_images_is_not_waited_for(tmp_path, storage):
    root = write_folder(tmp_path / "x", class_files())
    os.mkfifo(root / "train/cat/9.png")
    assert source_stamp(str(root), tmp_path / "none.json")
    with pytest.raises(UserError, match=r"train/cat/9\.png cannot be read as an image: it is no f"):
        prepare(tmp_path, root, **storage)


@STORAGES
@pytest.mark.timeout(60)
def test_links_in_a_circle_end(tmp_path, storage):
    """Two folders that hold each other, and one that holds itself: each file counts once."""
    root = write_folder(tmp_path / "x", class_files())
    plain = prepare(tmp_path, root, **storage)
    (root / "train/cat/all").symlink_to("../..")
    (root / "train/cat/self").symlink_to(".")
    (root / "train/dog/other").symlink_to("../cat")
    (root / "train/cat/other").symlink_to("../dog")
    dataset = prepare(tmp_path, root, **storage)
    assert source_stamp(str(root), tmp_path / "none.json")
    # The other class's folder is no circle: it is part of this class, once.
    assert len(dataset.train) + len(dataset.validation) == 2 * 8
    assert len(dataset.test) == len(plain.test)


@STORAGES
@pytest.mark.parametrize("kind", ["folder", "w"])
def test_file_names_need_not_be_text(tmp_path, kind, storage):
    name = os.fsdecode("train/cat/caf\xe9.png".encode("latin-1"))
    path = written(kind, tmp_path, class_files() | {name: image_bytes(5)})
    dataset = prepare(tmp_path, path, **storage)
    assert len(dataset.train) == 7
    assert len(dataset.train.images()) == 7


@STORAGES
def test_a_class_s_name_must_be_text(tmp_path, storage):
    name = os.fsdecode("caf\xe9".encode("latin-1"))
    root = write_folder(tmp_path / "x", class_files(("cat", name)))
    with pytest.raises(UserError, match=r"folder train/caf\\udce9 is not in UTF-8: rename it"):
        prepare(tmp_path, root, **storage)


@STORAGES
def test_the_same_letters_in_other_bytes_are_one_class(tmp_path, storage):
    def composed(form, files):
        return {unicodedata.normalize(form, name): content for name, content in files.items()}

    names = ("ångström", "dog")
    mixed = composed("NFC", class_files(names, test=0)) | composed("NFD", class_files(names, 0))
    dataset = prepare(tmp_path, write_folder(tmp_path / "x", mixed), **storage)
    plain = write_folder(tmp_path / "y", composed("NFC", class_files(names)))
    assert dataset.class_names == sorted(names)
    assert np.array_equal(pixels_of(dataset), pixels_of(prepare(tmp_path, plain, **storage)))


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("name", ["ca\nt", "cat ", "🐈", "%s{x}", "-cat", "\u202ecat", "c'a\"t"])
def test_a_class_may_have_any_name_that_is_text(tmp_path, name, kind):
    files = {path.replace("cat", name): content for path, content in class_files().items()}
    dataset = prepare(tmp_path, written(kind, tmp_path, files))
    assert dataset.class_names == sorted([name, "dog"])


def test_two_folders_that_look_alike_are_both_named(tmp_path):
    files = class_files(("café", "dog")) | {"train/cafe\u0301/0.png": image_bytes(1)}
    with pytest.raises(UserError, match="two folders that look alike, café") as error:
        prepare(tmp_path, write_folder(tmp_path / "x", files))
    assert r"'caf\xe9'" in str(error.value)
    assert r"'cafe\u0301'" in str(error.value)


@pytest.mark.parametrize("other", ["Cat", "cat ", "ｃａｔ"])
def test_classes_that_are_nearly_the_same_are_both_named(tmp_path, other):
    files = class_files(("cat", "dog"), test=0) | class_files((other, "dog"), train=0)
    with pytest.raises(UserError, match="looks like it: give both the same name"):
        prepare(tmp_path, write_folder(tmp_path / "x", files))


@STORAGES
def test_thumbnails_that_systems_make_are_no_part_of_a_set(tmp_path, storage):
    more = [
        "train/cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
        "train/cat/.thumbnails/0.png",
        "train/@eaDir/x/0.png",
        "#recycle/train/cat/0.png",
        "$RECYCLE.BIN/0.png",
        "lost+found/0.png",
        "train/dog/._0.png",
    ]
    files = class_files() | {name: image_bytes(3) for name in more} | {"Thumbs.db": b"x"}
    dataset = prepare(tmp_path, write_folder(tmp_path / "x", files), **storage)
    assert (dataset.class_names, len(dataset.train)) == (["cat", "dog"], 6)


@STORAGES
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "PPM"])
def test_every_extension_of_a_picture_is_read(tmp_path, kind, storage):
    from squeezed.data.image_files import EXTENSIONS

    written_by_pillow = Image.registered_extensions()
    for extension in sorted(e for e in EXTENSIONS if written_by_pillow.get(e) == kind):
        files = class_files() | {f"train/cat/new{extension.upper()}": image_bytes(5, kind=kind)}
        root = write_folder(tmp_path / extension.strip("."), files)
        assert len(prepare(tmp_path, root, **storage).train) == 7, extension


def test_what_is_left_out_stands_in_the_summary(tmp_path):
    files = class_files() | {
        "train/cat/a.heic": b"x",
        "train/cat/b.HEIC": b"x",
        "train/dog/c.jxl": b"x",
        "train/dog/README": b"x",
        "train/stray.png": image_bytes(1),
        "unlabelled/x/0.png": image_bytes(1),
    }
    settings = dataset_settings(
        source={"kind": "folder", "path": str(write_folder(tmp_path / "x", files))}
    )
    assert run_script(tmp_path, settings).returncode == 0
    from squeezed.foundation.results import read_result

    assert read_result(tmp_path / "data/set.json")["files_left_out"] == {
        "(no extension)": 1,
        ".heic": 2,
        ".jxl": 1,
        "images in train/": 1,
        "images in unlabelled/": 1,
    }


def test_a_class_of_pictures_that_are_not_read_says_of_what_kind_they_are(tmp_path):
    files = class_files() | {"train/eel/0.heic": b"x", "test/eel/0.heic": b"x"}
    with pytest.raises(UserError, match=r"train/eel holds no image.*not read as images: \.heic"):
        prepare(tmp_path, write_folder(tmp_path / "x", files))


def test_a_user_who_is_not_there(tmp_path):
    settings = dataset_settings(source={"kind": "folder", "path": "~no-such-user/images"})
    assert source_stamp("~no-such-user/images", tmp_path / "none.json") is None
    done = run_script(tmp_path, settings)
    assert done.returncode == 1
    assert "there is no user ~no-such-user here: write the path in full" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_set_of_one_class_is_refused_before_anything_is_trained(tmp_path):
    """As where a path is one level too deep, or too high."""
    root = write_folder(tmp_path / "x", class_files(("only",)))
    for storage in ({}, STREAMED):
        with pytest.raises(UserError, match="a single class, only: two are needed"):
            prepare(tmp_path, root, **storage)


@STORAGES
@pytest.mark.parametrize("shown", [(0,), (1,), (0, 2)])
def test_channels_that_say_nothing_become_zero(tmp_path, shown, storage):
    """Empty ones, as fluorescence microscopes save them: no 0 / 0, and the others as ever."""
    generator = np.random.default_rng(0)
    files = {}
    for name in class_files(size=(10, 10)):
        pixels = np.full((10, 10, 3), 77, np.uint8)
        pixels[..., shown] = generator.integers(0, 256, (10, 10, len(shown)))
        files[name] = encoded(pixels, "PNG")
    dataset = prepare(tmp_path, write_folder(tmp_path / "x", files), **storage)
    constant = [channel for channel in range(3) if channel not in shown]
    assert all(dataset.std[c] == 1 for c in constant)
    assert all(dataset.mean[c] == pytest.approx(77 / 255, abs=1e-6) for c in constant)
    assert all(0.2 < dataset.std[c] < 0.4 for c in shown)
    reopened = open_dataset(dataset.path)
    seen = (reopened.train.images() - np.array(reopened.mean)[:, None, None]) / np.array(
        reopened.std
    )[:, None, None]
    assert np.isfinite(seen).all()
    assert np.abs(seen[:, constant]).max() < 1e-5


@STORAGES
def test_a_set_of_one_picture_is_refused(tmp_path, storage):
    files = dict.fromkeys(class_files(), image_bytes(4, size=(10, 10)))
    with pytest.raises(UserError, match="all its training images are the same picture"):
        prepare(tmp_path, write_folder(tmp_path / "x", files), **storage)
