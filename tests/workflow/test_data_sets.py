"""Data sets of every kind through the configuration alone, and what reruns when one changes."""

import copy
import re

import pytest
import yaml

from squeezed.data import open_dataset
from tests.data.test_imagenet import flat
from tests.made_sources import (
    class_files,
    image_bytes,
    md5,
    serving,
    write_cifar10,
    write_folder,
    write_svhn,
    write_tar,
    write_zip,
)
from tests.workflow.workspace import Workspace

pytestmark = pytest.mark.workflow

ON_DISK = {"storage": "files", "resize": 10, "crop": 8}


def sections(server, place):
    """A section for each row of the documentation's table, by name."""

    def official(*names):
        return {"url": f"{server.url}/{names[0]}", "md5": md5(server.folder / names[0])}

    return {
        "cifar10": {
            "source": {
                "kind": "cifar10",
                "files": {"archive": official("cifar-10-python.tar.gz")},
            }
        },
        "svhn": {
            "source": {
                "kind": "svhn",
                "files": {key: official(f"{key}_32x32.mat") for key in ("train", "test")},
            }
        },
        "local_svhn": {"source": {"kind": "svhn", "path": str(server.folder)}},
        "imagenet": {"source": {"kind": "imagenet", "path": str(place / "imagenet")}, **ON_DISK},
        "folder": {"source": {"kind": "folder", "path": str(place / "folder")}},
        "zipped": {"source": {"kind": "folder", "path": str(place / "mine.zip")}},
        "tarred": {"source": {"kind": "folder", "path": str(place / "mine.tar.gz")}, **ON_DISK},
    }


def test_each_kind_of_source_and_what_a_change_reruns(tmp_path):
    place, workspace = tmp_path / "place", Workspace.create(tmp_path / "project")
    (place / "server").mkdir(parents=True)
    write_cifar10(place / "server" / "cifar-10-python.tar.gz")
    for seed, name in enumerate(("train", "test")):
        write_svhn(place / "server" / f"{name}_32x32.mat", (10, 1, 10, 1, 2, 2), seed)
    flat(place / "imagenet")
    write_folder(place / "folder", class_files())
    write_zip(place / "mine.zip", class_files(top="mine/"))
    write_tar(place / "mine.tar.gz", class_files(), "w:gz")

    with serving(place / "server") as server:
        wanted = sections(server, place)
        for name, section in wanted.items():
            workspace.configure(f"datasets.{name}", section)
        files = [f"data/{name}.safetensors" for name in wanted]
        assert workspace.snakemake(*files).jobs == {f"data/{name}" for name in wanted}
    counts = {}
    for name in wanted:
        dataset = open_dataset(workspace.folder / "data" / f"{name}.safetensors")
        counts[name] = [len(dataset.train), len(dataset.validation), len(dataset.test)]
        summary = (workspace.folder / "data" / f"{name}.json").read_text()
        assert str(place) not in summary, "a path of the machine is in a result"
    assert counts == {
        "cifar10": [18, 2, 4],
        "svhn": [3, 3, 6],
        "local_svhn": [3, 3, 6],
        "imagenet": [9, 3, 6],
        "folder": [6, 2, 4],
        "zipped": [6, 2, 4],
        "tarred": [6, 2, 4],
    }

    # Nothing is downloaded or prepared again, though the server is gone; nor where a source is.
    (place / "mine.zip").rename(place / "elsewhere.zip")
    assert workspace.snakemake(*files).jobs == set()

    # A changed archive behind the same path is seen, and broken content is refused.
    broken = class_files() | {"train/cat/0.png": image_bytes(5)[:-40]}
    write_zip(place / "mine.zip", broken)
    refused = workspace.snakemake(*files, check=False)
    assert refused.returncode != 0
    assert refused.jobs == {"data/zipped"}
    assert "train/cat/0.png cannot be read as an image" in (
        refused.output + (workspace.folder / "logs/data/zipped.log").read_text()
    )
    assert not (workspace.folder / "data" / "zipped.safetensors").exists()
    write_zip(place / "mine.zip", class_files() | {"train/cat/9.png": image_bytes(5)})
    assert workspace.snakemake(*files).jobs == {"data/zipped"}

    # One option switches from the download to a local folder.
    workspace.configure(
        "datasets.cifar10.source", {"kind": "folder", "path": str(place / "folder")}
    )
    assert workspace.snakemake(*files).jobs == {"data/cifar10"}


def test_another_experiment_runs_only_what_is_new(workspace):
    configuration = yaml.safe_load((workspace.folder / "config.yaml").read_text())
    second = copy.deepcopy(configuration["experiments"]["tiny"])
    workspace.configure("experiments.second", second)
    workspace.configure("run", ["tiny", "second"])
    plan = workspace.snakemake("--dry-run").output
    jobs = re.findall(r"^Job \d+: (.*)$", plan, re.MULTILINE)
    assert any("of second" in job for job in jobs)
    assert not [job for job in jobs if "of tiny" in job or "data set" in job]
