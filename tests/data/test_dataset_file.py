"""The file of a prepared data set: what goes in comes out, and no other file passes for one."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from squeezed.data import open_dataset
from squeezed.data.tensor_file import KIND, write_tensor_dataset
from squeezed.foundation.errors import UserError

NOTHING = {"nothing": np.zeros(1)}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    splits = {
        name: (generator.integers(0, 256, (n, 3, 4, 6), dtype=np.uint8), np.arange(n) % 2)
        for name, n in (("train", 5), ("validation", 2), ("test", 3))
    }
    path, source = tmp_path / "set.safetensors", {"kind": "made up"}
    write_tensor_dataset(path, name="set", class_names=["cat", "dog"], splits=splits, source=source)
    dataset = open_dataset(str(path))
    assert dataset.path == path
    assert (dataset.name, dataset.class_names, dataset.source) == ("set", ["cat", "dog"], source)
    assert dataset.image_size == (4, 6)
    assert len(dataset.digest) == 64
    pixels = splits["train"][0] / 255
    np.testing.assert_allclose(dataset.mean, pixels.mean(axis=(0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(dataset.std, pixels.std(axis=(0, 2, 3)), atol=1e-6)
    for name, (images, labels) in splits.items():
        split = getattr(dataset, name)
        np.testing.assert_allclose(split.images(), images / 255, atol=1e-7)
        np.testing.assert_array_equal(split.labels, labels)


@pytest.mark.parametrize(
    "metadata",
    [None, {KIND: "no JSON"}, {KIND: "[1, 2]"}, {KIND: json.dumps({"name": "a set"})}, {"a": "{}"}],
    ids=["no header", "no JSON", "a list", "fields missing", "of something else"],
)
def test_another_safetensors_file_is_refused(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = tmp_path / "other.safetensors"
    save_file(NOTHING, path, metadata=metadata)
    with pytest.raises(UserError, match=r"other\.safetensors is not a data set file .*delete it"):
        open_dataset(path)


def test_what_is_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("not numbers")
    for wrong in (path, tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(UserError, match="is not a data set file"):
            open_dataset(wrong)
