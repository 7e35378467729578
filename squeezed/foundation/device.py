"""The device that a job computes on.

`auto` is decided once for an experiment, by whoever builds the graph
(`squeezed.foundation.gpu_presence`), and handed to each job in the environment: two jobs of one
table never guess differently.
"""

import logging
import os

import torch

from squeezed.foundation.errors import UserError
from squeezed.foundation.gpu_presence import GPUS_VARIABLE

logger = logging.getLogger(__name__)


def resolve_device(setting: str) -> torch.device:
    """Return the device to compute on, and make it deterministic.

    Args:
        setting: `cpu`, `cuda`, or `auto`: what the workflow decided for the experiment, in the
            environment variable `SQUEEZED_GPUS` (0: the processor; more: a GPU). Where that is not
            set, as in a script started by hand: a GPU if PyTorch sees one.

    Raises:
        UserError: if a GPU was asked for or decided on and PyTorch sees none. Falling back here,
            in one job alone, would mix two devices in one table.
    """
    if setting not in ("auto", "cpu", "cuda"):
        raise UserError(f"device is {setting!r}; choose from auto, cpu, cuda")
    if setting == "cpu":
        return torch.device("cpu")
    decided = os.environ.get(GPUS_VARIABLE)
    if setting == "auto" and (decided == "0" or (not decided and not torch.cuda.is_available())):
        why = "the workflow found no GPU" if decided else "PyTorch sees no GPU"
        logger.warning("device is auto and %s: computing on the processor", why)
        return torch.device("cpu")
    if not torch.cuda.is_available():
        who = "the configuration asks" if setting == "cuda" else "the workflow decided"
        raise UserError(
            f"{who} for a GPU, but PyTorch sees none here; "
            "set the experiment's device to cpu, or run the job where there is one"
        )
    _make_cuda_deterministic()
    # Under torchrun each process of a job has a GPU of its own.
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def device_name(device: torch.device) -> str:
    """Name a device for a result's provenance: `cpu`, or `cuda` and the GPU's model."""
    if device.type != "cuda":
        return device.type
    return f"cuda ({torch.cuda.get_device_name(device)})"


def _make_cuda_deterministic() -> None:
    # cuBLAS reads this when its first handle is made.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # TF32 keeps 10 bits of a float32's 23: too few to stand for an 8-bit engine's exact sums.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)
