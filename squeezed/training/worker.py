"""One of the processes that train together; torchrun starts it (`squeezed.training.processes`)."""

import dataclasses
import json
import logging
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed

from squeezed.data import open_dataset
from squeezed.foundation.device import resolve_device
from squeezed.foundation.errors import UserError
from squeezed.foundation.files import atomic_path
from squeezed.training.loop import train
from squeezed.training.processes import ERROR_FILE, JOB_FILE, RESULT_FILE, STATE_FILE


def main(folder: Path) -> None:
    """Do the job in `folder`; the first process leaves the result there."""
    job = torch.load(folder / JOB_FILE, weights_only=False)
    try:
        device = resolve_device(job["arguments"]["device"])
        if device.type == "cuda":
            torch.cuda.set_device(device)
        _join_team(folder, "nccl" if device.type == "cuda" else "gloo")
        leads = distributed.get_rank() == 0
        logging.basicConfig(level=logging.INFO if leads else logging.WARNING, format="%(message)s")
        result = train(
            job["model"],
            open_dataset(job["dataset"]),
            masks=job["masks"],
            trainable=job["trainable"],
            **job["arguments"],
        )
    except UserError as error:
        # All processes end in it alike, and starting them anew would not help: no failure here.
        with atomic_path(folder / ERROR_FILE) as temporary:
            temporary.write_text(str(error), encoding="utf-8")
        return
    if leads:
        state = {name: tensor.contiguous() for name, tensor in job["model"].state_dict().items()}
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
