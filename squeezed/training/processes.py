"""Training in several processes on one machine, started by torchrun.

Each process holds the whole model and computes on its share of every batch; gradients are averaged
(DistributedDataParallel). The caller of `train` waits outside, and gets what one process would
have given it.
"""

import ctypes
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, distributed, nn

from squeezed.data.share import WHOLE, Share
from squeezed.foundation.errors import UserError

RESTARTS = 3
"""How often torchrun starts all processes anew after one died; they go on from the resume file."""

JOB_FILE = "job.pt"
STATE_FILE = "state.safetensors"
RESULT_FILE = "result.json"
ERROR_FILE = "error.txt"


@dataclasses.dataclass(frozen=True)
class Team:
    """The processes that train one model together. Alone, each method does nothing."""

    share: Share = WHOLE

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.share.processes == 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.share.rank == 0

    def synchronise_batch_norms(self, model: nn.Module, device: torch.device) -> None:
        """Let batch norms normalise by the whole batch, in place; on GPUs only.

        PyTorch has none for processors: there each process uses its share's statistics.
        """
        if not self.alone and device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return `model`, made to average its gradients over the team."""
        if self.alone:
            return model
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[device.index] if device.type == "cuda" else None
        )

    def weigh(self, loss: Tensor, images: int, batch: int) -> Tensor:
        """Return the mean loss over this share's `images`, made to count by their number.

        The mean over the team of what this returns is the mean over the whole `batch`.
        """
        return loss if self.alone else loss * (images * self.share.processes / batch)

    def add_up(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over the team."""
        if not self.alone:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def agree_on_buffers(self, model: nn.Module) -> None:
        """Give all processes the first one's buffers (running means and variances)."""
        if not self.alone:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)


def current_team() -> Team:
    """Return the team that this process trains in."""
    if not distributed.is_initialized():
        return Team()
    return Team(Share(distributed.get_rank(), distributed.get_world_size()))


def train_in_processes(
    processes: int,
    model: nn.Module,
    dataset_path: Path,
    arguments: Mapping[str, Any],
    masks: Mapping[str, Tensor],
    trainable: Iterable[str] | None,
) -> dict[str, Any]:
    """Run `squeezed.training.loop.train` in several processes and return its result's fields.

    Args:
        processes: how many.
        model: as for `train`; it gets the trained weights.
        dataset_path: the data set, which each process opens for itself.
        arguments: `settings`, `seed`, `device`, `threads` and `resume_path` of `train`.
        masks: as for `train`.
        trainable: as for `train`.

    Raises:
        UserError: what the processes raised.
        RuntimeError: if they died more often than they are restarted.
    """
    with tempfile.TemporaryDirectory(prefix="squeezed-") as name:
        folder = Path(name)  # of this user alone, so that what is unpickled from it is our own
        job = {
            "model": model,
            "dataset": str(dataset_path),
            "arguments": dict(arguments),
            "masks": dict(masks),
            "trainable": None if trainable is None else list(trainable),
        }
        torch.save(job, folder / JOB_FILE)
        ended = subprocess.run(
            _torchrun(processes, folder),
            env=_environment(int(arguments["threads"])),
            check=False,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        if (folder / ERROR_FILE).exists():
            raise UserError((folder / ERROR_FILE).read_text(encoding="utf-8"))
        if ended.returncode:
            raise RuntimeError(
                f"training in {processes} processes ended with status {ended.returncode} "
                f"after {RESTARTS} restarts; the reason is above"
            )
        model.load_state_dict(load_file(folder / STATE_FILE))
        result: dict[str, Any] = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        return result


def _torchrun(processes: int, folder: Path) -> list[str]:
    from squeezed.training import worker  # here, because it imports training, which imports us

    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        f"--max-restarts={RESTARTS}",
        "-m",
        worker.__name__,
        str(folder),
    ]


def _environment(threads: int) -> dict[str, str]:
    environment = dict(os.environ)
    root = str(Path(__file__).parents[2])
    before = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{root}{os.pathsep}{before}" if before else root
    environment["OMP_NUM_THREADS"] = str(threads)
    if sys.platform == "linux":
        # All processes are on this machine: also where its name has no address.
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return environment


def _end_with_parent() -> None:
    """Let the kernel end torchrun, which ends its processes, when a kill ends the parent."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
