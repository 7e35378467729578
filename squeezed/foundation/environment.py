"""Whether what is installed fits together; torch itself is not imported here."""

import importlib.metadata
import subprocess
import sys

from squeezed.foundation.errors import UserError


def check_torchvision() -> None:
    """Check in a process of its own that torchvision's operators load into torch.

    Raises:
        UserError: if they do not, as where torch and torchvision were built differently (torch
            then says "operator torchvision::nms does not exist").
    """
    found = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"torch {version_of('torch')} and torchvision {version_of('torchvision')} do not fit "
            f"together ({reason}); install both from one place with uv: "
            "uv pip install --reinstall-package torch --reinstall-package torchvision "
            "-r requirements.txt"
        )


def check_torch_builds() -> None:
    """Check that torch and torchvision are of one build, at no cost where their labels agree.

    The label is the part after `+`, as in `2.15.0+cpu`. Some platforms label one of the two only,
    so where they differ `check_torchvision` decides.

    Raises:
        UserError: if torchvision does not load into torch.
    """
    if _build_label("torch") != _build_label("torchvision"):
        check_torchvision()


def version_of(package: str) -> str:
    """Return the installed version of a package, or that it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _build_label(package: str) -> str:
    return version_of(package).partition("+")[2]
