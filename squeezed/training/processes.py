"""Training, in as many processes as the settings say, started by torchrun.

Each process holds the whole model and computes on its share of every batch; gradients are averaged
(DistributedDataParallel). The caller waits outside, and gets what one process would have given it.
What goes to the processes are network files, tensors and JSON: nothing is unpickled.
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

from safetensors.torch import load_file, save_file
from torch import Tensor

from squeezed.data.dataset import Dataset
from squeezed.foundation.errors import UserError
from squeezed.networks.classifier import Classifier
from squeezed.networks.network_file import NetworkCard, save_network
from squeezed.networks.state import load_state
from squeezed.training import worker
from squeezed.training.loop import TrainingResult, run_epochs
from squeezed.training.settings import TrainingSettings
from squeezed.training.teacher import Teacher

RESTARTS = 3
"""How often torchrun starts all processes anew after one died; they go on from the resume file."""


def train(
    model: Classifier,
    dataset: Dataset,
    settings: TrainingSettings,
    *,
    card: NetworkCard,
    seed: int,
    device: str = "cpu",
    threads: int = 1,
    masks: Mapping[str, Tensor] | None = None,
    trainable: Iterable[str] | None = None,
    teacher: Teacher | None = None,
    resume_path: str | Path | None = None,
) -> TrainingResult:
    """Train `model` in place by SGD; it ends with its best epoch's weights, in evaluation mode.

    The best epoch is chosen on the validation images. What is frozen does not move by a bit:
    parameters that are not trained get no weight decay, and batch norms without a trained
    parameter stay in evaluation mode, so that their running statistics stay too.

    Args:
        model: as it is to start from (weights drawn, pruned or transplanted already).
        dataset: its `train` split is trained on, its `validation` split chosen by.
        settings: how; of `processes` more than one, that many train together.
        card: describes the structure of `model`, so that processes can build it again.
        seed: of the batches, the augmentation and dropout.
        device: `cpu`, `cuda` or `auto`; the model returns to the CPU at the end.
        threads: of torch on the CPU.
        masks: for pruning: boolean tensors by parameter name as in
            `model.network.named_parameters()`; where a mask is False the weight is zero from the
            start and after each step.
        trainable: for ablation: the parameters to train, by name or by prefix (`classifier`,
            `features.0`) as in `model.network`; default: all.
        teacher: for distillation: the loss is (1 − w) times the labels' and w times the teacher's
            (`squeezed.training.teacher.distillation_loss`), on the same augmented images.
        resume_path: a file that holds the state after each finished epoch. If one is there from a
            killed run *with the same start, data, settings, masks, code and machine*, the
            training goes on from it; any other is ignored. It is deleted at the end.

    Raises:
        ValueError: if a mask or a trainable name fits no parameter.
        UserError: if `device` is `cuda` and there is none, if the augmentation does not fit the
            data set, an image cannot be read, the training diverges, or something runs out in
            each attempt of several processes.
        RuntimeError: if processes died more often than they are restarted.
    """
    if settings.processes == 1 or not settings.epochs:
        return run_epochs(
            model,
            dataset,
            settings,
            seed=seed,
            device=device,
            threads=threads,
            masks=masks,
            trainable=trainable,
            teacher=teacher,
            resume_path=resume_path,
        )
    job = {
        "dataset": str(dataset.path),
        "settings": dataclasses.asdict(settings),
        "trainable": None if trainable is None else list(trainable),
        "teacher": teacher and {"temperature": teacher.temperature, "weight": teacher.weight},
        "arguments": {
            "seed": seed,
            "device": device,
            "threads": threads,
            "resume_path": None if resume_path is None else str(resume_path),
        },
    }
    with tempfile.TemporaryDirectory(prefix="squeezed-") as name:
        folder = Path(name)
        save_network(folder / worker.NETWORK_FILE, model, card)
        if teacher:
            save_network(folder / worker.TEACHER_FILE, teacher.model, teacher.card)
        save_file(
            {key: mask.cpu().contiguous() for key, mask in (masks or {}).items()},
            folder / worker.MASKS_FILE,
        )
        (folder / worker.JOB_FILE).write_text(json.dumps(job), encoding="utf-8")
        _run_processes(settings.processes, threads, folder)
        load_state(model.network, load_file(folder / worker.STATE_FILE))
        model.to("cpu").eval()
        fields: dict[str, Any] = json.loads(
            (folder / worker.RESULT_FILE).read_text(encoding="utf-8")
        )
    return TrainingResult.from_fields(fields)


def _run_processes(processes: int, threads: int, folder: Path) -> None:
    ended = subprocess.run(
        _torchrun(processes, folder),
        env=_environment(threads),
        check=False,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    if (folder / worker.ERROR_FILE).exists():
        raise UserError((folder / worker.ERROR_FILE).read_text(encoding="utf-8"))
    if ended.returncode and (folder / worker.EXHAUSTED_FILE).exists():
        raise UserError((folder / worker.EXHAUSTED_FILE).read_text(encoding="utf-8"))
    if ended.returncode:
        raise RuntimeError(
            f"training in {processes} processes ended with status {ended.returncode} "
            f"after {RESTARTS} restarts; the reason is above"
        )


def _torchrun(processes: int, folder: Path) -> list[str]:
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
