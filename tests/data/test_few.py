"""A data set cut down to its first images, of either storage."""

import numpy as np
import pytest

from squeezed.data import open_dataset
from squeezed.data.few import FewOfEach
from squeezed.data.preparation import prepare_dataset
from tests.made_sources import class_files, dataset_settings, write_folder


@pytest.mark.parametrize("section", [{}, {"storage": "files", "crop": 8}], ids=["tensors", "files"])
@pytest.mark.parametrize("count", [3, 10_000])
def test_few_images_are_the_first_ones(tmp_path, section, count):
    root = write_folder(tmp_path / "images", class_files())
    settings = dataset_settings(source={"kind": "folder", "path": str(root)}, **section)
    prepare_dataset("set", settings, tmp_path / "set.safetensors", tmp_path / "downloads")
    whole = open_dataset(tmp_path / "set.safetensors")
    few = FewOfEach(whole, count)
    for name in ("train", "validation", "test"):
        split, first = getattr(whole, name), getattr(few, name)
        chosen = np.arange(min(count, len(split)))
        assert type(first) is type(split)
        assert len(first) == len(chosen)
        np.testing.assert_array_equal(first.labels, split.labels[chosen])
        np.testing.assert_array_equal(first.images(), split.images(chosen))
    assert few.image_size == whole.image_size
    assert few.class_names == whole.class_names
