"""Batches that are finished stay finished: a long job that is killed goes on where it was."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from squeezed.files import atomic_path
from squeezed.progress import track

Batch = tuple[pd.DataFrame, dict[str, Tensor]]


class FinishedBatches:
    """A folder beside a result in which each finished batch waits until all are there."""

    def __init__(self, result: str | Path, identity: Mapping[str, Any]) -> None:
        """Open the folder for `result`.

        Args:
            result: the file that the batches will become part of.
            identity: all that decides what the batches hold: settings, checksums of the inputs, a
                digest of the code. Batches that were made with another identity are thrown away.
        """
        result = Path(result)
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        prefix = f".{result.stem}.batches."
        self.folder = result.parent / f"{prefix}{digest}"
        if result.parent.is_dir():
            for other in result.parent.glob(f"{prefix}*"):
                if other != self.folder:
                    shutil.rmtree(other)

    def run(self, batches: Sequence[Any], work: Callable[[Any], Batch], description: str) -> Batch:
        """Return the results of `work` on each batch, joined; work is done for missing ones only.

        Args:
            batches: what to hand to `work`, in order.
            work: returns a table and tensors with a row for each image of the batch.
            description: for the progress.
        """
        tables, tensors = [], []
        for number, batch in enumerate(track(batches, description)):
            if not self._table(number).exists():
                self._write(number, work(batch))
            # The same path for old and new batches, so that resuming changes no byte.
            tables.append(pd.read_pickle(self._table(number)))
            tensors.append(load_file(self._tensors(number)))
        joined = {name: torch.cat([part[name] for part in tensors]) for name in tensors[0]}
        return pd.concat(tables, ignore_index=True), joined

    def remove(self) -> None:
        """Delete the folder, once the result is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, number: int, batch: Batch) -> None:
        table, tensors = batch
        with atomic_path(self._tensors(number)) as temporary:
            save_file({name: each.contiguous() for name, each in tensors.items()}, temporary)
        # The table last: its presence says that the batch is whole.
        with atomic_path(self._table(number)) as temporary:
            table.to_pickle(temporary)

    def _table(self, number: int) -> Path:
        return self.folder / f"{number:05d}.pkl"

    def _tensors(self, number: int) -> Path:
        return self.folder / f"{number:05d}.safetensors"
