"""Batches that are finished stay finished: a long job that is killed goes on where it was."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from squeezed.foundation.files import atomic_path
from squeezed.foundation.progress import track

Batch = TypeVar("Batch")


class FinishedBatches:
    """A folder beside a result in which each finished batch waits until all are there."""

    def __init__(self, result: str | Path, identity: Mapping[str, Any]) -> None:
        """Name the folder for `result`, and delete what others left there.

        Args:
            result: the file that the batches will become part of.
            identity: all that decides what the batches hold: settings, checksums of the inputs, a
                digest of the code. Batches that were made with another identity are thrown away.
        """
        result = Path(result)
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        prefix = f".{result.stem}.batches."
        self.folder = result.parent / f"{prefix}{digest}"
        for other in result.parent.glob(f"{prefix}*"):
            if other != self.folder:
                shutil.rmtree(other)

    def run(
        self,
        batches: Sequence[Batch],
        work: Callable[[Batch], Mapping[str, Tensor]],
        description: str,
    ) -> dict[str, Tensor]:
        """Return the results of `work` on each batch, joined; work is done for missing ones only.

        Args:
            batches: at least one thing to hand to `work`, in order.
            work: returns tensors with a row for each image of the batch, under the same names.
            description: for the progress.
        """
        parts = []
        for number, batch in enumerate(track(batches, description)):
            path = self.folder / f"{number:05d}.safetensors"
            if not path.exists():
                with atomic_path(path) as temporary:
                    made = {name: tensor.contiguous() for name, tensor in work(batch).items()}
                    save_file(made, temporary)
            parts.append(load_file(path))  # new ones too, so that resuming changes no byte
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def remove(self) -> None:
        """Delete the folder, once the result is written."""
        shutil.rmtree(self.folder, ignore_errors=True)
