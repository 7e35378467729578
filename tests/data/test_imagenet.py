"""ILSVRC2012 as it is handed out: class folders, or a flat `val` with the devkit beside it."""

import io
import tarfile

import numpy as np
import pytest
from scipy.io import savemat

from squeezed.data import open_dataset
from squeezed.data.imagenet import DEVKIT, read_devkit
from squeezed.data.preparation import prepare_dataset
from squeezed.foundation.errors import UserError
from tests.made_sources import class_files, dataset_settings, image_bytes, md5, write_folder

WNIDS = ["n01440764", "n02102040", "n02979186"]
# Official numbers are not in the order of the wnids; 4 is an inner node of the hierarchy.
NUMBERS = {"n01440764": 2, "n02102040": 3, "n02979186": 1, "n00001740": 4}
TRUTH = [3, 1, 2, 1, 3, 2]
ON_DISK = {"storage": "files", "resize": 10, "crop": 8}


def write_devkit(path, truth=TRUTH):
    fields = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("gloss", "O"),
              ("num_children", "f8"), ("children", "O"), ("wordnet_height", "f8"),
              ("num_train_images", "f8")]  # fmt: skip
    synsets = np.zeros((len(NUMBERS), 1), dtype=fields)
    for row, (wnid, number) in enumerate(sorted(NUMBERS.items(), key=lambda item: item[1])):
        inner = number == 4
        children = np.array([1.0, 2.0, 3.0]) if inner else np.zeros(0)
        synsets[row, 0] = (number, wnid, "words, more", "a gloss", 3 * inner, children, 0, 4)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets}, do_compression=True)
    files = {
        "ILSVRC2012_devkit_t12/data/meta.mat": meta.getvalue(),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": "".join(
            f"{number}\n" for number in truth
        ).encode(),
        "ILSVRC2012_devkit_t12/readme.txt": b"read me",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def flat(root):
    """The official layout: class folders for training, one folder for validation."""
    files = class_files(WNIDS, train=4, test=0)
    for number in range(1, 7):
        files[f"val/ILSVRC2012_val_{number:08}.JPEG"] = image_bytes(number, (12, 9), kind="JPEG")
    write_folder(root, files)
    write_devkit(root / DEVKIT)
    return root


def prepare(folder, root, files=None, **section):
    source = {"kind": "imagenet", "path": str(root), "files": files or {}}
    settings = dataset_settings(source=source, **section)
    prepare_dataset("set", settings, folder / "set.safetensors", folder / "downloads")
    return open_dataset(folder / "set.safetensors")


def by_hand():
    """The class of each flat validation image, as the devkit's text says."""
    wnid_of = {number: wnid for wnid, number in NUMBERS.items()}
    return [WNIDS.index(wnid_of[number]) for number in TRUTH]


@pytest.mark.parametrize("storage", ["files", "memory"])
def test_the_flat_validation_folder_is_understood(tmp_path, storage):
    root = flat(tmp_path / "imagenet")
    before = sorted(root.rglob("*"))
    dataset = prepare(tmp_path, root, **{**ON_DISK, "storage": storage})
    assert dataset.class_names == WNIDS
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    assert sorted(root.rglob("*")) == before, "something was written into the user's folder"
    # Each image kept its class: images are told apart by their pixels.
    direct = class_files(WNIDS, train=4, test=0)
    for number, label in enumerate(by_hand(), start=1):
        name = f"val/{WNIDS[label]}/ILSVRC2012_val_{number:08}.JPEG"
        direct[name] = image_bytes(number, (12, 9), kind="JPEG")
    expected = prepare(tmp_path, write_folder(tmp_path / "direct", direct), **ON_DISK)
    assert np.array_equal(dataset.test.images(), expected.test.images())
    assert np.array_equal(dataset.test.labels, expected.test.labels)


def test_class_folders_need_no_devkit(tmp_path):
    files = class_files(WNIDS, test_name="val")
    dataset = prepare(tmp_path, write_folder(tmp_path / "imagenet", files), **ON_DISK)
    assert len(dataset.test) == 6
    assert dataset.image_size == (8, 8)


def test_a_flat_folder_without_the_devkit_is_refused(tmp_path):
    root = flat(tmp_path / "imagenet")
    (root / DEVKIT).unlink()
    with pytest.raises(UserError, match=f"so .*{DEVKIT} is needed"):
        prepare(tmp_path, root, **ON_DISK)


def test_the_devkit_is_checked(tmp_path):
    root = flat(tmp_path / "imagenet")
    prepare(tmp_path, root, {"devkit": {"md5": md5(root / DEVKIT)}}, **ON_DISK)
    with pytest.raises(UserError, match=f"{DEVKIT} has the MD5"):
        prepare(tmp_path, root, {"devkit": {"md5": "0" * 32}}, **ON_DISK)


def test_a_devkit_for_another_number_of_images_is_refused(tmp_path):
    root = flat(tmp_path / "imagenet")
    (root / "val" / "ILSVRC2012_val_00000003.JPEG").unlink()
    with pytest.raises(UserError, match=r"holds 5 images, but .* knows the classes of 6"):
        prepare(tmp_path, root, **ON_DISK)


@pytest.mark.parametrize("kept", [0, 60, 300])
def test_a_truncated_devkit_is_said_to_be_one(tmp_path, kept):
    root = flat(tmp_path / "imagenet")
    (root / DEVKIT).write_bytes((root / DEVKIT).read_bytes()[:kept])
    with pytest.raises(UserError, match="damaged or not ILSVRC2012's devkit"):
        prepare(tmp_path, root, **ON_DISK)


def test_a_flat_truncated_image_is_named_as_it_is_on_disk(tmp_path):
    root = flat(tmp_path / "imagenet")
    victim = root / "val" / "ILSVRC2012_val_00000004.JPEG"
    victim.write_bytes(victim.read_bytes()[:-60])
    with pytest.raises(UserError, match=r"val/ILSVRC2012_val_00000004\.JPEG cannot be read"):
        prepare(tmp_path, root, **ON_DISK)


@pytest.mark.slow  # torchvision takes seconds to import
def test_the_devkit_is_read_as_torchvision_reads_it(tmp_path, monkeypatch):
    from torchvision.datasets import imagenet

    root = flat(tmp_path / "imagenet")
    monkeypatch.setattr(imagenet, "_verify_archive", lambda *_: None)
    imagenet.parse_devkit_archive(root)
    _, theirs = imagenet.load_meta_file(root)
    assert read_devkit(root / DEVKIT) == theirs
