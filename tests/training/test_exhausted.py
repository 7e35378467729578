"""Several processes that train together, where one of them runs out of something."""

import errno
import json
import subprocess

import pytest

from squeezed.foundation.errors import UserError
from squeezed.training import processes, worker


@pytest.fixture
def folder(tmp_path):
    job = {"arguments": {"device": "cpu"}}
    (tmp_path / worker.JOB_FILE).write_text(json.dumps(job), encoding="utf-8")
    return tmp_path


def work(folder, monkeypatch, error):
    """Let a process end in an error."""

    def fail(folder, backend):
        raise error

    monkeypatch.setattr(worker, "_join_team", fail)
    worker.main(folder)


def wait(folder, monkeypatch, returncode):
    """Wait for processes that end with this status."""
    ended = subprocess.CompletedProcess([], returncode)
    monkeypatch.setattr(processes.subprocess, "run", lambda *command, **options: ended)
    processes._run_processes(2, 1, folder)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (MemoryError(), "the memory is used up"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "the memory is used up"),
    ],
)
def test_what_ran_out_is_said_once_no_attempt_is_left(folder, monkeypatch, error, sentence):
    with pytest.raises(type(error)):  # so that torchrun starts all of them anew
        work(folder, monkeypatch, error)
    with pytest.raises(UserError, match=sentence):
        wait(folder, monkeypatch, 1)


def test_an_attempt_that_had_enough_counts(folder, monkeypatch):
    with pytest.raises(MemoryError):
        work(folder, monkeypatch, MemoryError())
    wait(folder, monkeypatch, 0)


def test_a_mistake_of_ours_stays_one(folder, monkeypatch):
    with pytest.raises(ZeroDivisionError):
        work(folder, monkeypatch, ZeroDivisionError())
    with pytest.raises(RuntimeError, match="2 processes ended with status 1"):
        wait(folder, monkeypatch, 1)


def test_what_a_user_can_mend_starts_nothing_anew(folder, monkeypatch):
    work(folder, monkeypatch, UserError("the training diverged"))
    with pytest.raises(UserError, match=r"^the training diverged$"):
        wait(folder, monkeypatch, 0)
