"""CIFAR-10 and SVHN in their official formats, downloaded from localhost or the user's own."""

import os
import pickle
import shutil

import numpy as np
import pytest

from squeezed.data import open_dataset
from squeezed.data.cifar10 import load_batch
from squeezed.data.preparation import prepare_dataset
from squeezed.foundation.errors import UserError
from tests.made_sources import (
    CIFAR10_NAMES,
    cifar10_batches,
    dataset_settings,
    md5,
    serving,
    write_cifar10,
    write_svhn,
)


@pytest.fixture
def workplace(tmp_path):
    (tmp_path / "server").mkdir()
    return tmp_path


def prepare(workplace, **section):
    output = workplace / "data" / "set.safetensors"
    try:
        prepare_dataset("set", dataset_settings(**section), output, workplace / "downloads")
    except UserError as error:
        assert not list(workplace.glob("data/*")), "something half-written was left"
        assert not list(workplace.glob("data/.*")), "something half-written was left"
        assert "\n" not in str(error)
        raise
    return open_dataset(output)


def cifar10_source(server, archive):
    return {
        "kind": "cifar10",
        "files": {"archive": {"url": f"{server.url}/{archive.name}", "md5": md5(archive)}},
    }


def test_cifar10_is_downloaded_and_read(workplace):
    archive = write_cifar10(workplace / "server" / "cifar-10-python.tar.gz")
    with serving(workplace / "server") as server:
        dataset = prepare(workplace, source=cifar10_source(server, archive))
        again = prepare(workplace, source=cifar10_source(server, archive))
        assert len(server.requests) == 1, "a file that is there was downloaded again"
    assert dataset.class_names == CIFAR10_NAMES
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (18, 2, 4)
    expected = cifar10_batches()["test_batch"]
    assert np.array_equal(dataset.test.pixels, expected[b"data"].reshape(-1, 3, 32, 32))
    assert dataset.test.labels.tolist() == expected[b"labels"]
    assert dataset.digest == again.digest
    assert dataset.source["name"] == "cifar-10-python.tar.gz"
    assert len(dataset.source["sha256"]) == 64


def test_it_reads_what_torchvision_reads(workplace, monkeypatch):
    archive = write_cifar10(workplace / "cifar-10-python.tar.gz")
    dataset = prepare(
        workplace, source={"kind": "cifar10", "path": str(archive)}, validation_fraction=0.1
    )
    torchvision = pytest.importorskip("torchvision")
    shutil.unpack_archive(archive, workplace)
    official = torchvision.datasets.CIFAR10
    monkeypatch.setattr(official, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    theirs = official(workplace, train=False)
    assert np.array_equal(dataset.test.pixels.transpose(0, 2, 3, 1), theirs.data)
    assert dataset.test.labels.tolist() == theirs.targets
    assert dataset.class_names == theirs.classes


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_local_official_file_is_taken_as_it_is(workplace, as_folder):
    archive = write_cifar10(workplace / "cifar-10-python.tar.gz")
    path = workplace if as_folder else archive
    dataset = prepare(workplace, source={"kind": "cifar10", "path": str(path)})
    assert len(dataset.train) == 18


def test_a_local_file_is_checked_if_there_is_an_md5(workplace):
    archive = write_cifar10(workplace / "cifar-10-python.tar.gz")
    source = {"kind": "cifar10", "path": str(archive), "files": {"archive": {"md5": "0" * 32}}}
    with pytest.raises(UserError, match=r"has the MD5 .* instead of 0000"):
        prepare(workplace, source=source)


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/squeezed-was-here",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_batch_that_would_run_code_is_refused(workplace, protocol):
    batches = cifar10_batches()
    batches["data_batch_3"] = pickle.dumps({b"data": Evil()}, protocol=protocol)
    archive = write_cifar10(workplace / "cifar-10-python.tar.gz", batches)
    with pytest.raises(UserError, match=r"cannot be read: it asks for posix\.system"):
        prepare(workplace, source={"kind": "cifar10", "path": str(archive)})


@pytest.mark.parametrize("protocol", range(5))
def test_honest_batches_of_every_protocol_are_read(protocol):
    batch = cifar10_batches()["test_batch"]
    read = load_batch(pickle.dumps(batch, protocol=protocol))
    assert np.array_equal(read[b"data"], batch[b"data"])


def test_a_batch_that_is_missing_is_named(workplace):
    batches = cifar10_batches()
    del batches["data_batch_4"]
    archive = write_cifar10(workplace / "cifar-10-python.tar.gz", batches)
    with pytest.raises(UserError, match="lacks cifar-10-batches-py/data_batch_4"):
        prepare(workplace, source={"kind": "cifar10", "path": str(archive)})


def test_a_truncated_archive_is_said_to_be_one(workplace):
    archive = write_cifar10(workplace / "cifar-10-python.tar.gz")
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(UserError, match="truncated or no tar archive"):
        prepare(workplace, source={"kind": "cifar10", "path": str(archive)})


def svhn_files(folder):
    return {
        "train": write_svhn(folder / "train_32x32.mat", (10, 1, 10, 1, 2, 2), seed=1),
        "test": write_svhn(folder / "test_32x32.mat", (10, 1, 2, 10), seed=2),
        "extra": write_svhn(folder / "extra_32x32.mat", (1, 10), seed=3),
    }


def svhn_source(server, extra=False):
    files = {
        key: {
            "url": f"{server.url}/{key}_32x32.mat",
            "md5": md5(server.folder / f"{key}_32x32.mat"),
        }
        for key in ("train", "test", "extra")
    }
    return {"kind": "svhn", "files": files, "extra": extra}


def test_svhn_is_downloaded_and_read(workplace):
    images = svhn_files(workplace / "server")
    with serving(workplace / "server") as server:
        dataset = prepare(workplace, source=svhn_source(server), validation_fraction=0.2)
        assert {path for path, _ in server.requests} == {"/train_32x32.mat", "/test_32x32.mat"}
    assert dataset.test.labels.tolist() == [0, 1, 2, 0], "label 10 is digit 0"
    assert np.array_equal(dataset.test.pixels[1], images["test"][..., 1].transpose(2, 0, 1))
    assert dataset.class_names == list("0123456789")
    assert len(dataset.train) + len(dataset.validation) == 6


def test_svhn_with_its_extra_images(workplace):
    svhn_files(workplace / "server")
    with serving(workplace / "server") as server:
        dataset = prepare(workplace, source=svhn_source(server, extra=True))
    assert len(dataset.train) + len(dataset.validation) == 8
    assert len(dataset.test) == 4


def test_local_svhn_files_are_taken_as_they_are(workplace):
    svhn_files(workplace)
    dataset = prepare(workplace, source={"kind": "svhn", "path": str(workplace)})
    assert len(dataset.test) == 4


@pytest.mark.parametrize("kept", [100, 2000])
def test_a_truncated_svhn_file_is_said_to_be_one(workplace, kept):
    svhn_files(workplace)
    path = workplace / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"train_32x32\.mat is truncated or not one of SVHN's"):
        prepare(workplace, source={"kind": "svhn", "path": str(workplace)})


def test_a_wrong_checksum_leaves_earlier_downloads(workplace):
    svhn_files(workplace / "server")
    with serving(workplace / "server") as server:
        source = svhn_source(server)
        source["files"]["test"]["md5"] = "0" * 32
        with pytest.raises(UserError, match=r"test_32x32\.mat has the MD5 \w+ instead of 0000"):
            prepare(workplace, source=source)
        assert sorted(p.name for p in (workplace / "downloads").iterdir()) == ["train_32x32.mat"]
        prepare(workplace, source=svhn_source(server))
        assert [path for path, _ in server.requests].count("/train_32x32.mat") == 1


def test_a_broken_download_goes_on_where_it_stopped(workplace):
    archive = write_cifar10(workplace / "server" / "cifar-10-python.tar.gz")
    with serving(workplace / "server") as server:
        server.break_after = 3000
        with pytest.raises(UserError, match="run again, which goes on where this stopped"):
            prepare(workplace, source=cifar10_source(server, archive))
        part = workplace / "downloads" / "cifar-10-python.tar.gz.part"
        assert part.stat().st_size == 3000
        dataset = prepare(workplace, source=cifar10_source(server, archive))
        assert [wanted for _, wanted in server.requests] == [None, "bytes=3000-"]
    assert len(dataset.train) == 18
    assert not part.exists()


def test_no_network_gets_a_sentence(workplace):
    archive = write_cifar10(workplace / "server" / "cifar-10-python.tar.gz")
    with serving(workplace / "server") as server:
        source = cifar10_source(server, archive)
    with pytest.raises(UserError, match=r"cannot be downloaded .*refused.*check the network"):
        prepare(workplace, source=source)


def test_a_file_that_the_server_has_not_gets_a_sentence(workplace):
    archive = write_cifar10(workplace / "cifar-10-python.tar.gz")
    with serving(workplace / "server") as server:
        source = cifar10_source(server, archive)
        with pytest.raises(UserError, match="the server answers HTTP Error 404"):
            prepare(workplace, source=source)


def test_not_enough_disk_is_said_before_the_download(workplace):
    archive = write_cifar10(workplace / "server" / "cifar-10-python.tar.gz")
    with serving(workplace / "server") as server:
        server.claimed_size = 10**15
        with pytest.raises(UserError, match=r"MiB, but .* has only .* MiB left: make room"):
            prepare(workplace, source=cifar10_source(server, archive))


def test_a_source_without_files_and_path_is_refused(workplace):
    with pytest.raises(UserError, match=r"needs `files\.archive`"):
        prepare(workplace, source={"kind": "cifar10"})
