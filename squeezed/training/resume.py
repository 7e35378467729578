"""The state of an unfinished training, in a file that outlives a kill."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from squeezed.foundation.files import atomic_path

HEADER_KEY = "squeezed_resume"


class ResumeFile:
    """A safetensors file that belongs to one training, told by its fingerprint."""

    def __init__(self, path: str | Path, fingerprint: str) -> None:
        """Name the file; `fingerprint` says all that the training is a function of."""
        self.path = Path(path)
        self.fingerprint = fingerprint

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the file's content, whole or not at all."""
        header = json.dumps({"fingerprint": self.fingerprint, "state": state})
        with atomic_path(self.path) as temporary:
            save_file(
                {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
                temporary,
                metadata={HEADER_KEY: header},
            )

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the tensors and the state, or None if there is no file of this training."""
        try:
            with safe_open(self.path, framework="pt") as file:
                header = json.loads((file.metadata() or {})[HEADER_KEY])
                if header["fingerprint"] != self.fingerprint:
                    return None
                names = list(file.keys())
                return {name: file.get_tensor(name) for name in names}, header["state"]
        except (OSError, KeyError, ValueError, SafetensorError):
            return None

    def delete(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)
