"""The stamp of an imported model changes with its file and with its weights beside it."""

import json
import os
import shutil

import onnx
import pytest

from squeezed.foundation.files import sha256_of
from squeezed.graphs.foreign.original_stamp import original_stamp
from tests.foreign.models import classifier, saved


def stamp(path):
    return original_stamp(str(path), path.with_name("no-import.json"))


@pytest.fixture
def outside(tmp_path):
    """A model whose weights lie in a file beside it."""
    folder = tmp_path / "model"
    folder.mkdir()
    weights = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(classifier(), folder / "model.onnx", **weights)
    return folder / "model.onnx"


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin"])
def test_any_byte_counts(outside, name):
    before = stamp(outside)
    file = outside.with_name(name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert stamp(outside) != before


def test_a_copy_is_the_same(outside, tmp_path):
    shutil.copytree(outside.parent, tmp_path / "copy")
    os.utime(tmp_path / "copy/weights.bin", (0, 0))
    assert stamp(tmp_path / "copy/model.onnx") == stamp(outside)


def test_weights_that_are_gone_count(outside):
    before = stamp(outside)
    outside.with_name("weights.bin").unlink()
    assert stamp(outside) not in (before, None)


def test_what_leads_out_of_the_folder_is_not_read(outside, monkeypatch):
    model = onnx.load(outside, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../secret.bin"
    path = saved(model, outside.parent, "hostile.onnx")
    (outside.parent.parent / "secret.bin").write_bytes(b"secret")
    read = []
    monkeypatch.setattr(
        "squeezed.graphs.foreign.original_stamp.sha256_of",
        lambda file: read.append(file.name) or sha256_of(file),
    )
    stamp(path)
    assert read == ["hostile.onnx"]


def test_where_the_model_is_gone_the_recorded_stamp_stands(tmp_path):
    made = tmp_path / "import.json"
    made.write_text(json.dumps({"original_stamp": "abc"}))
    assert original_stamp(str(tmp_path / "gone.onnx"), made) == "abc"
    assert original_stamp(None, made) is None


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07"])
def test_a_damaged_file_has_one_too(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert stamp(path)
