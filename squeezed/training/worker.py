"""One of the processes that train together; torchrun starts it (`squeezed.training.processes`).

Its folder holds the job: network files, masks as tensors, and the rest as JSON.
"""

import dataclasses
import json
import logging
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import distributed

from squeezed.data import open_dataset
from squeezed.foundation.device import resolve_device
from squeezed.foundation.errors import UserError
from squeezed.foundation.exhaustion import exhausted
from squeezed.foundation.files import atomic_path
from squeezed.foundation.settings import read_settings
from squeezed.networks.network_file import load_network
from squeezed.training.loop import run_epochs
from squeezed.training.settings import TrainingSettings
from squeezed.training.teacher import Teacher

JOB_FILE = "job.json"
NETWORK_FILE = "network.safetensors"
TEACHER_FILE = "teacher.safetensors"
MASKS_FILE = "masks.safetensors"
STATE_FILE = "state.safetensors"
RESULT_FILE = "result.json"
ERROR_FILE = "error.txt"
EXHAUSTED_FILE = "exhausted.txt"


def main(folder: Path) -> None:
    """Do the job in `folder`; the first process leaves the result there."""
    job = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    try:
        device = resolve_device(job["arguments"]["device"])
        if device.type == "cuda":
            torch.cuda.set_device(device)
        _join_team(folder, "nccl" if device.type == "cuda" else "gloo")
        leads = distributed.get_rank() == 0
        logging.basicConfig(level=logging.INFO if leads else logging.WARNING, format="%(message)s")
        model, _ = load_network(folder / NETWORK_FILE)
        teacher = None
        if job["teacher"]:
            teacher = Teacher(*load_network(folder / TEACHER_FILE), **job["teacher"])
        result = run_epochs(
            model,
            open_dataset(job["dataset"]),
            read_settings(TrainingSettings, job["settings"]),
            masks=load_file(folder / MASKS_FILE),
            trainable=job["trainable"],
            teacher=teacher,
            **job["arguments"],
        )
    except UserError as error:
        # All processes end in it alike, and starting them anew would not help: no failure here.
        with atomic_path(folder / ERROR_FILE) as temporary:
            temporary.write_text(str(error), encoding="utf-8")
        return
    except Exception as error:
        # Another attempt may have what it needs; if none has, this is the reason.
        reason = exhausted(error)
        if reason:
            (folder / EXHAUSTED_FILE).write_text(reason, encoding="utf-8")
        raise
    if leads:
        state = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
        save_file(state, folder / STATE_FILE)
        (folder / RESULT_FILE).write_text(json.dumps(dataclasses.asdict(result)), encoding="utf-8")
    distributed.barrier()
    distributed.destroy_process_group()


def _join_team(folder: Path, backend: str) -> None:
    """Meet the other processes at a file.

    Not at torchrun's own store: after a restart, processes would find there the addresses that
    those before them left, and wait for these for ever.
    """
    meeting = folder / f"meeting{os.environ['TORCHELASTIC_RESTART_COUNT']}"
    rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = distributed.FileStore(str(meeting), processes)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=processes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
