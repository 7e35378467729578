"""Files appear whole or not at all; results and their provenance come back as they were written."""

import hashlib
import json
import math
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezed.foundation.files import atomic_path, sha256_of
from squeezed.foundation.provenance import Provenance, source_commit, versions
from squeezed.foundation.results import exact_part, read_result, write_result
from tests import PROJECT

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=10)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "file.json"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".json"  # some writers choose the format by it
        assert temporary.parent == path.parent  # renaming never crosses file systems
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_the_file(tmp_path):
    umask = os.umask(0o022)
    try:
        with atomic_path(tmp_path / "file") as temporary:
            temporary.write_text("text")
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
    finally:
        os.umask(umask)


@given(content=st.binary(max_size=1000))
def test_the_checksum_is_sha256(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("sums") / "file"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


@given(
    metrics=st.dictionaries(NAMES.filter(lambda n: n not in ("measured", "provenance")), SCALARS)
)
def test_results_come_back_as_written(tmp_path_factory, metrics):
    path = tmp_path_factory.mktemp("results") / "result.json"
    write_result(path, metrics, measured={"time_s": 0.5}, provenance={"seed": 3})
    found = read_result(path)
    assert exact_part(found) == metrics
    assert found["measured"] == {"time_s": 0.5}
    assert found["provenance"] == {"seed": 3}


def test_the_same_result_is_the_same_bytes(tmp_path):
    for name in ("a.json", "b.json"):
        write_result(tmp_path / name, {"x": 0.1, "y": [1, 2]}, provenance={})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [1.0, math.nan], {"a": math.nan}])
@pytest.mark.parametrize("part", ["metrics", "measured"])
def test_what_is_no_number_is_refused(tmp_path, value, part):
    parts = {"metrics": {}, "measured": {}} | {part: {"accuracy": value}}
    with pytest.raises(ValueError, match=r"accuracy.* write None"):
        write_result(
            tmp_path / "r.json", parts["metrics"], measured=parts["measured"], provenance={}
        )
    assert not (tmp_path / "r.json").exists()


def test_the_inexact_fields_are_no_metrics(tmp_path):
    with pytest.raises(ValueError, match="measured"):
        write_result(tmp_path / "r.json", {"measured": 1}, provenance={})


def test_provenance_says_what_a_result_was_made_from(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    provenance = Provenance(
        inputs={"model": tmp_path / "model.safetensors"},
        settings={"epochs": 3},
        seed=4,
        device="cpu",
        threads=2,
    ).finish()
    assert provenance["inputs_sha256"] == {"model": hashlib.sha256(b"weights").hexdigest()}
    assert provenance["settings"] == {"epochs": 3}
    assert (provenance["seed"], provenance["device"], provenance["threads"]) == (4, "cpu", 2)
    assert provenance["duration_s"] >= 0
    assert provenance["peak_memory_mib"] > 1
    assert provenance["machine"]["cores"] >= 1
    assert str(tmp_path) not in json.dumps(provenance), "a path of this machine"


def test_provenance_names_the_versions_that_are_installed():
    import numpy as np

    assert versions()["numpy"] == np.__version__


def test_the_commit_is_the_source_trees(monkeypatch, tmp_path):
    """Also where the command runs somewhere else."""
    here = source_commit()
    monkeypatch.chdir(tmp_path)
    assert source_commit() == here
    if (PROJECT / ".git").exists():
        assert here != "unknown"
