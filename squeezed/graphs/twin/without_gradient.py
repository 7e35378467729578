"""A file of which no twin could be made: it runs in its engine, and no gradient passes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from squeezed.graphs.foreign.kept import DOMAIN, OPERATOR, kept
from squeezed.graphs.twin.builder import Builder
from squeezed.graphs.twin.registry import operator
from squeezed.graphs.twin.values import Call, Value


class _Runs(Protocol):
    def run(self, seen: NDArray[np.float32]) -> NDArray[np.float32]: ...


class WithoutGradient(nn.Module):
    """A model in its engine, on the processor. Copies share the engine."""

    def __init__(self, core: _Runs) -> None:
        """Hold `core`, which maps images as they are seen to answers (n, classes)."""
        super().__init__()
        self._core = core

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the answers, shape (n, classes), cut off from `images`."""
        seen = images.detach().float().cpu().contiguous().numpy()
        return torch.from_numpy(self._core.run(seen)).to(images.device)

    def __deepcopy__(self, memo: object) -> WithoutGradient:
        """Return one that runs in the same engine."""
        return WithoutGradient(self._core)


@operator(OPERATOR, domain=DOMAIN)
def without_gradient(build: Builder, call: Call) -> Value:
    """Write a module that asks the engine."""
    model = kept(build.model)
    assert model is not None
    return build.module(call, WithoutGradient(model.core), call[0])
