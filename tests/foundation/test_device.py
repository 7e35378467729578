import json

import pytest
import torch

from squeezed.foundation import gpu_presence
from squeezed.foundation.device import resolve_device
from squeezed.foundation.errors import UserError


@pytest.fixture(autouse=True)
def _no_decision(monkeypatch):
    monkeypatch.delenv(gpu_presence.GPUS_VARIABLE, raising=False)
    monkeypatch.delenv(gpu_presence.MACHINE_VARIABLE, raising=False)


def see_gpu(monkeypatch, visible):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: visible)
    # Nothing of the test process's determinism may change.
    monkeypatch.setattr("squeezed.foundation.device._make_cuda_deterministic", lambda: None)


def result(path, setting, device):
    path.write_text(json.dumps({"provenance": {"settings": {"device": setting}, "device": device}}))
    return path


def test_cpu_is_cpu_also_where_there_is_a_gpu(monkeypatch):
    see_gpu(monkeypatch, True)
    assert resolve_device("cpu").type == "cpu"


def test_auto_falls_back_with_a_sentence(monkeypatch, caplog):
    see_gpu(monkeypatch, False)
    assert resolve_device("auto").type == "cpu"
    assert "computing on the processor" in caplog.text


def test_auto_follows_the_workflow_not_the_node(monkeypatch, caplog):
    see_gpu(monkeypatch, True)
    monkeypatch.setenv(gpu_presence.GPUS_VARIABLE, "0")
    assert resolve_device("auto").type == "cpu"
    assert "the workflow found no GPU" in caplog.text
    monkeypatch.setenv(gpu_presence.GPUS_VARIABLE, "1")
    assert resolve_device("auto") == torch.device("cuda", 0)


def test_a_job_refuses_to_leave_the_device_of_its_table(monkeypatch):
    see_gpu(monkeypatch, False)
    monkeypatch.setenv(gpu_presence.GPUS_VARIABLE, "1")
    with pytest.raises(UserError, match="the workflow decided for a GPU"):
        resolve_device("auto")
    with pytest.raises(UserError, match="the configuration asks for a GPU"):
        resolve_device("cuda")


def test_each_process_under_torchrun_has_its_own_gpu(monkeypatch):
    see_gpu(monkeypatch, True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert resolve_device("cuda") == torch.device("cuda", 3)


def test_unknown_setting():
    with pytest.raises(UserError, match="choose from auto, cpu, cuda"):
        resolve_device("gpu")


def test_the_setting_decides_before_the_machine(monkeypatch):
    monkeypatch.setattr(gpu_presence, "machine_has_gpu", lambda: True)
    assert not gpu_presence.runs_on_gpu("cpu", [])
    monkeypatch.setattr(gpu_presence, "machine_has_gpu", lambda: False)
    assert gpu_presence.runs_on_gpu("cuda", [])
    assert not gpu_presence.runs_on_gpu("auto", [])


def test_auto_is_probed_once_and_inherited(monkeypatch):
    probes = iter([True])
    monkeypatch.setattr(gpu_presence, "machine_has_gpu", lambda: next(probes))
    assert gpu_presence.runs_on_gpu("auto", [])
    assert gpu_presence.runs_on_gpu("auto", [])  # a second probe would raise StopIteration
    monkeypatch.setenv(gpu_presence.MACHINE_VARIABLE, "0")  # what a job inherits on a GPU node
    assert not gpu_presence.runs_on_gpu("auto", [])


def test_a_half_made_table_is_finished_on_its_device(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_presence, "machine_has_gpu", lambda: False)
    begun = result(tmp_path / "training.json", "auto", "cuda (NVIDIA A100)")
    assert gpu_presence.runs_on_gpu("auto", [tmp_path / "absent.json", begun])
    # What was made when the configuration said `cpu` is no decision about `auto`.
    monkeypatch.setenv(gpu_presence.MACHINE_VARIABLE, "1")
    assert gpu_presence.runs_on_gpu("auto", [result(tmp_path / "old.json", "cpu", "cpu")])


def test_a_broken_result_is_no_decision(monkeypatch, tmp_path):
    monkeypatch.setenv(gpu_presence.MACHINE_VARIABLE, "0")
    for name, text in {"a": "{", "b": "[]", "c": '{"provenance": null}'}.items():
        (tmp_path / name).write_text(text)
    assert not gpu_presence.runs_on_gpu("auto", tmp_path.iterdir())
