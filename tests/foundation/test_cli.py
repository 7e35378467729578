"""What every script says where the machine runs out of something: one sentence, no traceback."""

import errno
import io
import json
import os
import resource
import subprocess
import sys

import pytest

from squeezed.foundation.cli import script_main
from squeezed.foundation.errors import UserError
from squeezed.foundation.exhaustion import exhausted
from squeezed.foundation.memory import available_memory
from tests import PROJECT
from tests.made_sources import class_files, dataset_settings, write_folder
from tests.mounting import PRIVATE, require_mounts


def raised(error):
    """What a script prints that raises this."""

    @script_main
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        main()
    return str(stopped.value.code)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "error: the memory is used up: use `storage: files`"),
        (MemoryError("Unable to allocate 56. GiB for an array"), "used up (Unable to alloc"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't "
                      "allocate memory: you tried to allocate 4 bytes."), "the memory is used up"),
        (RuntimeError("std::bad_alloc"), "the memory is used up"),
        (RuntimeError("could not create a primitive"), "the memory is used up"),
        (ValueError("C error: Calling read(nbytes) on source failed."), "the memory is used up"),
        (ImportError("x.so: failed to map segment from shared object"), "the memory is used"),
        (RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf serialization failed."),
         "the disk is full"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "the GPU's memory is used"),
        (RuntimeError("DataLoader worker (pid 3) is killed by signal: Bus error. It is possible "
                      "that dataloader's workers are out of shared memory."), "--shm-size=4g"),
        (RuntimeError("unable to write to file </torch_42_1>: No space left on device (28), shared "
                      "memory"), "the shared memory (/dev/shm) is used up"),
        (OSError(errno.ENOSPC, "No space left on device", "/dev/shm/x"), "--shm-size"),
        (OSError(errno.ENOSPC, "No space left on device", "x.json"), "the disk is full ([Errno "),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
         "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "models"), "cannot be written to"),
        (PermissionError(errno.EACCES, "Permission denied", "models"), "may not be used"),
        (OSError(errno.EMFILE, "Too many open files"), "`ulimit -n 4096`"),
        (RuntimeError("received 0 items of ancdata"), "too many files are open"),
        (RuntimeError("can't start new thread"), "no further process or thread"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "`ulimit -u`"),
        (OSError(errno.EIO, "Input/output error"), "the disk or network drive fails"),
        (UserError("a sentence"), "error: a sentence"),
    ],
)  # fmt: skip
def test_a_resource_that_ran_out_is_named(error, sentence):
    said = raised(error)
    assert said.startswith("error: ")
    assert sentence in said
    assert "\n" not in said
    assert isinstance(error, UserError) or "run again, which goes on" in said


def test_the_cause_of_an_error_counts():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as full:
            raise RuntimeError("the figure cannot be drawn") from full
    except RuntimeError as error:
        assert "the disk is full" in raised(error)


@pytest.mark.parametrize(
    "error",
    [ValueError("wrong"), KeyError("No space left on device"), RuntimeError("shapes differ")],
)
def test_a_mistake_of_ours_keeps_its_traceback(error):
    @script_main
    def main():
        raise error

    with pytest.raises(type(error)):
        main()
    assert exhausted(error) is None


@pytest.mark.parametrize("raised", [MemoryError, SystemError])
def test_where_no_memory_is_left_to_look_at_an_error_that_is_said(raised, capsys, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)

    class Unreadable(Exception):
        def __str__(self):
            raise raised

    class Bar:
        def __del__(self):
            raise raised

    @script_main
    def main():
        bar = Bar()
        del bar
        raise Unreadable

    with pytest.raises(SystemExit, match=r"^error: the memory is used up: "):
        main()
    assert capsys.readouterr().err == ""


def test_a_script_prints_in_any_locale(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="latin-1"))
    script_main(lambda: print("größer → kleiner", flush=True))()
    assert written.getvalue() == "größer \\u2192 kleiner\n".encode("latin-1")


def test_what_a_sentence_quotes_cannot_break_it():
    """File names may hold line ends, colours of a terminal, and bytes that are no text."""
    assert raised(UserError("x\n\x1b[31m\udce9.png")) == r"error: x\n\x1b[31m\udce9.png"


def test_the_memory_that_is_left_is_that_of_the_container(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n", encoding="utf-8")
    (tmp_path / "memory.current").write_text("400\n", encoding="utf-8")
    assert available_memory(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n", encoding="utf-8")
    assert available_memory(tmp_path) > 10**6


# Loads a script with all that it imports, and only then sets the limit.
LIMITED = """
import resource, runpy, sys
script, what, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
main = runpy.run_path(script, run_name="limited")["main"]
sys.argv = sys.argv[3:]
resource.setrlimit(what, (most, most))
main()
"""


def prepare(tmp_path, limit=None, place=None, first=(), **section):
    """Prepare 80 images under a limit of `setrlimit`, or behind another command."""
    root = tmp_path / "images"
    if not root.exists():
        write_folder(root, class_files(train=30, test=10, size=(64, 64)))
    settings = dataset_settings(source={"kind": "folder", "path": str(root)}, **section)
    place = place or tmp_path
    script = str(PROJECT / "scripts" / "prepare_dataset.py")
    limited = ["-c", LIMITED, script, *map(str, limit)] if limit else [script]
    done = subprocess.run(
        [
            *first,
            *(sys.executable, *limited),
            *("--name", "set", "--settings", json.dumps(settings)),
            *("--output", place / "data" / "set.safetensors"),
            *("--summary", place / "data" / "set.json"),
            *("--downloads", place / "downloads"),
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def assert_refused_and_goes_on(tmp_path, outcome, sentence):
    code, said = outcome
    assert code == 1, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: ")
    assert sentence in said
    assert not list((tmp_path / "data").rglob("*.safetensors"))
    code, said = prepare(tmp_path)
    assert code == 0, said


@pytest.mark.parametrize(
    ("limit", "section", "sentence"),
    [
        ((resource.RLIMIT_AS, 2**30), {"resize": 4096, "crop": 4096}, "use `storage: files`"),
        ((resource.RLIMIT_FSIZE, 20_000), {}, "the disk is full"),
        ((resource.RLIMIT_NOFILE, 3), {}, "too many files are open"),
        ((resource.RLIMIT_NOFILE, 3), {"storage": "files", "crop": 8}, "too many files are open"),
    ],
    ids=["memory", "disk", "files", "files, streamed"],
)
def test_a_job_under_limits_says_one_sentence_and_the_next_run_goes_on(
    tmp_path, limit, section, sentence
):
    assert_refused_and_goes_on(tmp_path, prepare(tmp_path, limit, **section), sentence)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [("size=64k", "the disk is full"), ("size=64k,ro", "this place cannot be written to")],
    ids=["a small disk", "a read-only one"],
)
def test_a_disk_that_takes_no_more_is_named(tmp_path, options, sentence):
    place = tmp_path / "disk"
    place.mkdir()
    require_mounts()
    first = [*PRIVATE, f'mount -t tmpfs -o {options} tmpfs {place} && exec "$@"', "sh"]
    outcome = prepare(tmp_path, place=place, first=first)
    assert_refused_and_goes_on(tmp_path, outcome, sentence)


def test_every_script_is_guarded():
    for script in (PROJECT / "scripts").glob("*.py"):
        assert "@script_main\ndef main()" in script.read_text(encoding="utf-8"), script.name
