"""An attack's result files, read back."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from squeezed.foundation.errors import UserError


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

    def images_of(self, indices: NDArray[np.integer]) -> Tensor:
        """Return `best` of the images with these indices in their split, float32 (m, C, H, W).

        Raises:
            UserError: if one of them was not attacked.
        """
        row_of = {int(index): row for row, index in enumerate(self.index)}
        missing = [int(index) for index in indices if int(index) not in row_of]
        if missing:
            raise UserError(
                f"the baseline was attacked on other images than the variant (not on image "
                f"{missing[0]}); run its attack again"
            )
        return self.best[[row_of[int(index)] for index in indices]]
