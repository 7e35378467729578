"""Each of torchvision's classifiers passes the rehearsal, or is refused by it in one sentence."""

import json
import resource
import subprocess
import sys

import numpy as np
import pytest
from torchvision import models

from squeezed.data import open_dataset
from squeezed.data.summary import summarise
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.networks.torchvision_models import sketch
from tests import PROJECT
from tests.matrix import matrix
from tests.test_rehearsal import section

SIZES = {"inception_v3": 96, "maxvit_t": 224}
"""Height and width of the images of those that do not take 64×64."""
GIB = 2**30
MEMORY = 12 * GIB
"""What a rehearsal may take: the largest need more, and say so."""
SETTINGS = ("architecture", "variants", "left_out", "embedding", "tsne", "cam")


def names():
    return [
        name
        for name in models.list_models(module=models)
        if not name.startswith("quantized")  # made of layers that are in 8 bits already
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Data sets of noise and what is in them, by the size of the images."""
    folder = tmp_path_factory.mktemp("data")

    def of(size):
        path = folder / f"{size}.safetensors"
        if not path.exists():
            generator = np.random.default_rng(0)
            splits = {
                name: (
                    generator.integers(0, 256, (n, 3, size, size)).astype(np.uint8),
                    np.arange(n) % 2,
                )
                for name, n in {"train": 200, "validation": 20, "test": 300}.items()
            }
            write_tensor_dataset(
                path, name="noise", class_names=["a", "b"], splits=splits,
                source={"kind": "folder", "name": "noise"},
            )  # fmt: skip
            settings = {"description": "noise", "storage": "tensor"}
            summary = summarise(open_dataset(path), settings, None)
            path.with_suffix(".json").write_text(json.dumps(summary))
        return path

    return of


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", matrix(names(), "shufflenet_v2_x0_5", "regnet_y_400mf"))
def test_it_is_rehearsed_or_refused(name, files, tmp_path):
    dataset = files(SIZES.get(name, 224 if name.startswith("vit") else 64))
    wanted = section({"name": name}, {"quantized": {}})
    result = tmp_path / "rehearsal.json"
    done = subprocess.run(
        [
            sys.executable, PROJECT / "scripts/rehearse.py", "--dataset", dataset,
            "--summary", dataset.with_suffix(".json"), "--result", result,
            "--settings", json.dumps({key: wanted[key] for key in SETTINGS if key in wanted}),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    parameters = sum(each.numel() for each in sketch(name, {}).parameters())
    if done.returncode:
        print(name, *said)
        assert len(said) == 1
        assert "memory" in said[0]
        assert parameters * 4 > GIB / 4  # small ones have no reason
    else:
        print(name, json.loads(result.read_text())["notes"])
