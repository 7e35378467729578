"""The stamp of a source changes with what is behind its path, and with nothing else."""

import json
import os
import shutil

from squeezed.foundation.source_stamp import source_stamp
from tests.made_sources import class_files, image_bytes, write_folder, write_zip


def stamp(path, summary=None):
    return source_stamp(str(path), summary or path.with_name("no-summary.json"))


def test_a_copy_is_the_same_source(tmp_path):
    folder = write_folder(tmp_path / "a", class_files())
    archive = write_zip(tmp_path / "a.zip", class_files())
    shutil.copytree(folder, tmp_path / "b")
    shutil.copy(archive, tmp_path / "b.zip")
    os.utime(tmp_path / "b.zip", (0, 0))
    os.utime(tmp_path / "b/train/cat/0.png", (0, 0))
    assert stamp(folder) == stamp(tmp_path / "b")
    assert stamp(archive) == stamp(tmp_path / "b.zip")


def test_a_changed_archive_is_another(tmp_path):
    before = stamp(write_zip(tmp_path / "a.zip", class_files()))
    changed = class_files() | {"train/cat/0.png": image_bytes(77)}
    assert stamp(write_zip(tmp_path / "a.zip", changed)) != before


def test_a_changed_folder_is_another(tmp_path):
    folder = write_folder(tmp_path / "a", class_files())
    before = stamp(folder)
    (folder / "train/cat/0.png").rename(folder / "train/cat/9.png")
    renamed = stamp(folder)
    (folder / "train/cat/9.png").write_bytes(b"shorter")
    assert len({before, renamed, stamp(folder)}) == 3


def test_where_the_source_is_gone_the_recorded_stamp_stands(tmp_path):
    summary = tmp_path / "set.json"
    assert stamp(tmp_path / "gone.zip", summary) is None
    summary.write_text(json.dumps({"source_stamp": "abc"}))
    assert stamp(tmp_path / "gone.zip", summary) == "abc"
    assert source_stamp(None, summary) is None
