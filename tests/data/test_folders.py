"""The user's own images: folders and archives, in memory and streamed, and what may be wrong."""

import io
import json
import os
import resource
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from squeezed.data import choose_indices, open_dataset
from squeezed.data.geometry import Geometry
from squeezed.data.image_files import open_rgb
from squeezed.data.manifest import PathList
from squeezed.data.preparation import prepare_dataset
from squeezed.foundation.errors import UserError
from squeezed.foundation.workers import WORKERS_VARIABLE
from tests.made_sources import (
    PROJECT,
    class_files,
    dataset_settings,
    image_bytes,
    write_folder,
    write_tar,
    write_zip,
)

STREAMED = {"storage": "files", "resize": 10, "crop": 8}


def prepare(workplace, path, **section):
    output = workplace / "data" / "set.safetensors"
    settings = dataset_settings(source={"kind": "folder", "path": str(path)}, **section)
    try:
        prepare_dataset("set", settings, output, workplace / "downloads")
    except UserError as error:
        assert not list((workplace / "data").rglob("*")), "something half-written was left"
        # An archive that was unpacked whole may stay.
        assert not list((workplace / "downloads").glob(".*")), "something half-written was left"
        assert "\n" not in str(error)
        raise
    return open_dataset(output)


def written(kind, workplace, files):
    if kind == "folder":
        return write_folder(workplace / "images", files)
    if kind == "zip":
        return write_zip(workplace / "images.zip", files)
    suffix = {"w": ".tar", "w:gz": ".tar.gz", "w:xz": ".tar.xz", "w:bz2": ".tar.bz2"}[kind]
    return write_tar(workplace / f"images{suffix}", files, kind)


ALL_KINDS = ["folder", "zip", "w", "w:gz", "w:xz", "w:bz2"]


@pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_folder_and_every_archive_give_the_same_set(tmp_path, kind, storage):
    files = class_files()
    dataset = prepare(tmp_path, written(kind, tmp_path, files), **storage)
    plain = write_folder(tmp_path / "plain", files)
    expected = prepare(tmp_path, plain, **storage)
    assert dataset.class_names == ["cat", "dog"]
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (6, 2, 4)
    assert dataset.digest == expected.digest
    for split in ("train", "validation", "test"):
        ours, theirs = getattr(dataset, split), getattr(expected, split)
        assert np.array_equal(ours.images(), theirs.images())
        assert np.array_equal(ours.labels, theirs.labels)


@pytest.mark.parametrize("kind", ["folder", "zip", "w:gz"])
def test_a_single_folder_at_the_top_is_accepted(tmp_path, kind):
    path = written(kind, tmp_path, class_files(top="birds/"))
    assert len(prepare(tmp_path, path).test) == 4


@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_the_test_folder_may_be_called_val(tmp_path, name):
    dataset = prepare(tmp_path, write_folder(tmp_path / "x", class_files(test_name=name)))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (6, 2, 4)


def test_with_test_and_val_the_latter_is_for_validation(tmp_path):
    files = class_files() | class_files(train=0, test=3, test_name="val")
    dataset = prepare(tmp_path, write_folder(tmp_path / "x", files))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (8, 6, 4)


def test_pixels_and_labels_are_those_of_the_files(tmp_path):
    files = class_files()
    dataset = prepare(tmp_path, write_folder(tmp_path / "x", files))
    expected = [np.asarray(Image.open(io.BytesIO(files[f"test/{c}/{i}.png"])))
                for c in ("cat", "dog") for i in (0, 1)]  # fmt: skip
    assert np.array_equal(dataset.test.pixels, np.stack(expected).transpose(0, 3, 1, 2))
    assert dataset.test.labels.tolist() == [0, 0, 1, 1]
    assert dataset.test.images().dtype == np.float32
    pixels = dataset.train.pixels.astype(np.float64) / 255
    assert np.allclose(dataset.mean, pixels.mean(axis=(0, 2, 3)), atol=1e-6)
    assert np.allclose(dataset.std, pixels.std(axis=(0, 2, 3)), atol=1e-6)


def test_validation_images_are_held_out_of_training(tmp_path):
    dataset = prepare(tmp_path, write_folder(tmp_path / "x", class_files(train=20)))
    assert np.bincount(dataset.validation.labels).tolist() == [2, 2]
    seen = {image.tobytes() for image in dataset.train.pixels}
    assert not seen & {image.tobytes() for image in dataset.validation.pixels}


def test_the_source_is_named_without_its_place(tmp_path):
    archive = write_zip(tmp_path / "mine.zip", class_files())
    dataset = prepare(tmp_path, archive)
    assert dataset.source["name"] == "mine.zip"
    assert str(tmp_path) not in json.dumps(dataset.source)


@pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])
def test_a_moved_set_has_the_same_digest(tmp_path, storage):
    first = prepare(tmp_path, write_folder(tmp_path / "here", class_files()), **storage)
    second = prepare(tmp_path, write_folder(tmp_path / "there", class_files()), **storage)
    assert first.digest == second.digest
    changed = class_files() | {"train/cat/0.png": image_bytes(99)}
    third = prepare(tmp_path, write_folder(tmp_path / "there", changed), **storage)
    assert third.digest != first.digest


@pytest.mark.parametrize(
    ("mode", "expected"), [("L", lambda a: np.stack([a] * 3)), ("RGBA", lambda a: a[..., :3])]
)
def test_grey_and_transparent_images_are_converted(mode, expected):
    content = image_bytes(3, mode=mode)
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    converted = np.asarray(open_rgb(content))
    wanted = expected(pixels)
    assert np.array_equal(converted, wanted.transpose(1, 2, 0) if mode == "L" else wanted)


def test_sixteen_bits_become_eight():
    file = io.BytesIO()
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(values).save(file, "PNG")
    converted = np.asarray(open_rgb(file.getvalue()))
    assert np.array_equal(converted[..., 0], values >> 8)


@pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])
def test_grey_images_among_coloured_ones_are_fine(tmp_path, storage):
    files = class_files() | {"train/cat/0.png": image_bytes(1, mode="L")}
    assert len(prepare(tmp_path, write_folder(tmp_path / "x", files), **storage).train) == 6


@pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])
@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("image_kind", ["JPEG", "PNG"])
def test_a_truncated_image_is_named_and_others_counted(tmp_path, kind, storage, image_kind):
    cut = image_bytes(5, size=(64, 64), kind=image_kind)[:-400]
    suffix = {"JPEG": "jpg", "PNG": "png"}[image_kind]
    files = class_files() | {f"train/dog/a{n}.{suffix}": cut for n in range(3)}
    with pytest.raises(UserError, match=rf"train/dog/a0\.{suffix} cannot be read .* 2 others"):
        prepare(tmp_path, written(kind, tmp_path, files), **storage)


def test_something_else_with_an_image_s_name_is_named(tmp_path):
    files = class_files() | {"test/cat/x.jpg": b"<html>not found</html>"}
    with pytest.raises(UserError, match=r"test/cat/x\.jpg cannot be read as an image: "):
        prepare(tmp_path, write_folder(tmp_path / "x", files))


def test_other_files_and_hidden_ones_are_left_out(tmp_path):
    files = class_files(top="mine/") | {
        "mine/README.md": b"x",
        "mine/train/cat/notes.txt": b"x",
        "mine/train/.DS_Store": b"x",
        "__MACOSX/mine/train/cat/._0.png": b"x",
    }
    assert len(prepare(tmp_path, write_zip(tmp_path / "x.zip", files)).train) == 6


@pytest.mark.parametrize("kind", ["folder", "zip", "w"])
def test_an_empty_class_is_named(tmp_path, kind):
    files = class_files() | {"test/eel/0.png": image_bytes(1), "train/eel/notes.txt": b"none yet"}
    with pytest.raises(UserError, match="train/eel holds no image"):
        prepare(tmp_path, written(kind, tmp_path, files))


def test_an_empty_folder_is_named(tmp_path):
    root = write_folder(tmp_path / "x", class_files())
    for split in ("train", "test"):
        (root / split / "eel").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        prepare(tmp_path, root)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ("train/eel/0.png", "train/eel is there, test/eel is not"),
        ("test/eel/0.png", "test/eel is there, train/eel is not"),
    ],
)
def test_classes_that_differ_are_named(tmp_path, extra, sentence):
    files = class_files() | {extra: image_bytes(1)}
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path, write_folder(tmp_path / "x", files))


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"cat/0.png": b"", "dog/0.png": b""}, "has no folder train/<class>/"),
        ({"train/cat/0.png": b"", "train/dog/0.png": b""}, "neither test/<class>/ nor val/"),
        ({}, "has no folder train/<class>/"),
    ],
)
def test_another_layout_gets_a_sentence(tmp_path, files, sentence):
    (tmp_path / "x").mkdir()
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path, write_folder(tmp_path / "x", files))


def test_a_class_of_one_training_image_is_refused(tmp_path):
    with pytest.raises(UserError, match="class cat has only one training image"):
        prepare(tmp_path, write_folder(tmp_path / "x", class_files(train=1)))


@pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])
@pytest.mark.parametrize(
    "name", ["../evil.png", "train/../../evil.png", "/evil.png", "C:/evil.png"]
)
@pytest.mark.parametrize("kind", ["zip", "w"])
def test_a_path_that_would_escape_is_refused(tmp_path, kind, name, storage):
    files = class_files() | {name: image_bytes(1)}
    with pytest.raises(UserError, match="leads out of it"):
        prepare(tmp_path, written(kind, tmp_path, files), **storage)
    assert not list(tmp_path.rglob("evil.png"))


def test_a_link_in_an_archive_is_refused(tmp_path):
    import tarfile

    path = write_tar(tmp_path / "x.tar", class_files())
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("train/cat/passwd.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(UserError, match=r"holds a link, train/cat/passwd\.png"):
        prepare(tmp_path, path)


@pytest.mark.parametrize("storage", [{}, STREAMED], ids=["memory", "files"])
@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("kind", ALL_KINDS[1:])
def test_a_truncated_archive_is_said_to_be_one(tmp_path, kind, share, storage):
    files = class_files(train=8, test=8, size=(24, 24))
    path = written(kind, tmp_path, files)
    if kind == "w":
        # Cut where one file ends: tarfile alone would take it as whole.
        size = 512 * round(share * sum(1 + -(-len(f) // 512) for f in files.values()))
    else:
        size = int(share * path.stat().st_size)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"truncated or damaged"):
        prepare(tmp_path, path, **storage)


def test_a_damaged_zip_member_is_said_to_be_one(tmp_path):
    path = write_zip(tmp_path / "x.zip", class_files())
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match="truncated or damaged"):
        prepare(tmp_path, path)


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"0123456789" * 100)
    with pytest.raises(UserError, match="neither a folder nor a zip or tar archive"):
        prepare(tmp_path, tmp_path / "x.bin")
    with pytest.raises(UserError, match=r"there is no .*nothing"):
        prepare(tmp_path, tmp_path / "nothing")


def test_images_of_several_sizes_need_a_size(tmp_path):
    files = class_files() | {"train/cat/0.png": image_bytes(1, size=(9, 11))}
    root = write_folder(tmp_path / "x", files)
    with pytest.raises(UserError, match="set the data set's `resize` and `crop`"):
        prepare(tmp_path, root)
    assert prepare(tmp_path, root, resize=8, crop=8).image_size == (8, 8)


def test_resizing_and_cropping_are_torchvision_s():
    v2 = pytest.importorskip("torchvision.transforms.v2")
    for size in [(160, 213), (213, 160), (64, 64), (300, 97), (30, 40)]:
        image = Image.open(io.BytesIO(image_bytes(7, size=size)))
        theirs = v2.Compose([v2.Resize(72), v2.CenterCrop(64)])(image)
        ours = Geometry(72, 64).apply(image)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("storage", ["memory", "files"])
def test_the_prepared_set_says_how_its_pixels_were_made(tmp_path, storage):
    root = write_folder(tmp_path / "x", class_files())
    said = prepare(tmp_path, root, storage=storage, resize=10, crop=8).preprocessing
    assert (said["resize"], said["crop"], said["interpolation"]) == (10, 8, "bilinear")
    assert (said["antialias"], said["orientation"], said["input_range"]) == (True, "exif", [0, 1])
    assert "10 pixels at its shorter side" in said["text"]
    as_it_is = prepare(tmp_path, root).preprocessing
    assert (as_it_is["resize"], as_it_is["crop"], as_it_is["interpolation"]) == (None, None, None)
    assert "resized" not in as_it_is["text"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_as_a_viewer_shows_it(orientation, kind):
    """Each of EXIF's eight orientations, in every format that can hold it."""
    stored = Image.new("RGB", (32, 16))
    stored.paste((255, 255, 255), (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, kind, exif=exif)
    image = open_rgb(file.getvalue())
    bright = np.argwhere(np.asarray(image)[..., 0] > 127)
    assert image.size == ((32, 16) if orientation < 5 else (16, 32))
    top, left = (bright.mean(axis=0) < np.array(image.size[::-1]) / 2).tolist()
    # Where the stored top left corner comes to lie, in EXIF's own words.
    assert ("top" if top else "bottom", "left" if left else "right") == {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("top", "left"),
        6: ("top", "right"),
        7: ("bottom", "right"),
        8: ("bottom", "left"),
    }[orientation]


def test_streamed_images_are_those_in_memory(tmp_path):
    root = write_folder(tmp_path / "x", class_files(train=12, size=(14, 11)))
    memory = prepare(tmp_path, root, resize=10, crop=8)
    streamed = prepare(tmp_path, root, **STREAMED)
    chosen = choose_indices(len(memory.train), 7, seed=1)
    assert np.array_equal(memory.train.images(chosen), streamed.train.images(chosen))
    for ours, theirs in zip(
        streamed.test.batches(3, chosen[:4] % 4),
        memory.test.batches(3, chosen[:4] % 4),
        strict=True,
    ):
        assert np.array_equal(ours[0], theirs[0])
        assert np.array_equal(ours[1], theirs[1])
    assert streamed.train.images(np.array([], dtype=int)).shape == (0, 3, 8, 8)
    assert np.allclose(streamed.mean, memory.mean, atol=1e-5)
    assert np.allclose(streamed.std, memory.std, atol=1e-5)


def test_streaming_holds_two_batches_however_many_images(tmp_path):
    root = write_folder(tmp_path / "x", class_files(train=100, test=2))
    dataset = prepare(tmp_path, root, storage="files", resize=64, crop=64)

    def peak(indices):
        tracemalloc.start()
        for _ in dataset.train.batches(10, indices):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    everything = np.arange(len(dataset.train))
    peak(everything[:20])
    assert peak(everything) < 1.5 * peak(everything[:30])


def test_an_image_that_has_gone_is_named(tmp_path):
    root = write_folder(tmp_path / "x", class_files())
    dataset = prepare(tmp_path, root, **STREAMED)
    (root / "test/dog/1.png").unlink()
    with pytest.raises(UserError, match=r"test/dog/1\.png cannot be read .*bring the images back"):
        dataset.test.images()


def test_streamed_sets_need_a_size_and_a_folder(tmp_path):
    root = write_folder(tmp_path / "x", class_files())
    with pytest.raises(UserError, match="needs `crop`"):
        prepare(tmp_path, root, storage="files")
    with pytest.raises(UserError, match="needs a source of kind folder or imagenet"):
        dataset_settings(source={"kind": "digits"}, **STREAMED)


def test_a_normalisation_of_the_user_s_is_kept(tmp_path):
    root = write_folder(tmp_path / "x", class_files())
    fixed = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    for storage in ({}, STREAMED):
        dataset = prepare(tmp_path, root, normalisation=fixed, **storage)
        assert (dataset.mean, dataset.std) == (fixed["mean"], fixed["std"])
    with pytest.raises(UserError, match="needs three values"):
        dataset_settings(
            source={"kind": "folder", "path": str(root)}, normalisation={"mean": [0.1, 0.2, 0.3]}
        )


def test_paths_packed_are_the_paths():
    paths = ["train/a/1.png", "", "train/ä/日本.png"]
    packed = PathList.pack(paths)
    assert list(packed) == paths
    assert packed[-1] == paths[-1]


def run_script(tmp_path, settings, limit=None):
    """Run the script as the workflow does."""

    def restrict():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [
            sys.executable,
            PROJECT / "scripts" / "prepare_dataset.py",
            *("--name", "set", "--settings", json.dumps(settings)),
            *("--output", tmp_path / "data" / "set.safetensors"),
            *("--summary", tmp_path / "data" / "set.json"),
            *("--downloads", tmp_path / "downloads"),
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT), WORKERS_VARIABLE: "1"},
        capture_output=True,
        text=True,
        preexec_fn=restrict,
    )


def test_the_script_says_one_sentence_and_fails(tmp_path):
    root = write_folder(tmp_path / "x", class_files() | {"test/cat/0.png": b"broken"})
    settings = dataset_settings(source={"kind": "folder", "path": str(root)})
    done = run_script(tmp_path, settings)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "data").iterdir()) if (tmp_path / "data").exists() else True


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    """A limit on the size of files stands in for a full disk: the write itself fails."""
    files = class_files(train=40, size=(64, 64))
    root = write_folder(tmp_path / "x", files)
    settings = dataset_settings(source={"kind": "folder", "path": str(root)})
    done = run_script(tmp_path, settings, limit=20_000)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: the data set set cannot be prepared")
    assert not list((tmp_path / "data").rglob("*"))


def test_the_summary_says_what_the_data_are(tmp_path):
    archive = write_zip(tmp_path / "mine.zip", class_files())
    settings = dataset_settings(
        source={"kind": "folder", "path": str(archive)}, description="Mine."
    )
    assert run_script(tmp_path, settings).returncode == 0
    text = (tmp_path / "data" / "set.json").read_text()
    summary = json.loads(text)
    assert summary["description"] == "Mine."
    assert summary["source_name"] == "mine.zip"
    assert (summary["n_train"], summary["n_validation"], summary["n_test"]) == (6, 2, 4)
    assert str(tmp_path) not in text, "a path of the machine got into a result"
