"""An attack's result files, read back."""

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor


@dataclass
class StoredAttack:
    """An attack's result files, for the n images that it was run on."""

    index: Tensor
    label: Tensor
    attackable: Tensor
    success: Tensor
    l2: Tensor
    """NaN where no adversarial image was found."""
    best: Tensor
    last: Tensor

    @classmethod
    def read(cls, table: str | Path, tensors: str | Path) -> "StoredAttack":
        """Read the CSV of the images and the safetensors file beside it."""
        with Path(table).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        images = load_file(tensors)

        def integers(name: str) -> Tensor:
            return torch.tensor([int(row[name]) for row in rows], dtype=torch.int64)

        return cls(
            index=integers("index"),
            label=integers("label"),
            attackable=integers("attackable").bool(),
            success=integers("success").bool(),
            l2=torch.tensor([float(row["l2"] or "nan") for row in rows]),
            best=images["best"],
            last=images["last"],
        )

    def chosen(self, mask: Tensor) -> "StoredAttack":
        """Return the part of the images where `mask`, shape (n,), is true."""
        return StoredAttack(**{name: value[mask] for name, value in vars(self).items()})
