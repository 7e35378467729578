"""What every engine offers."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.errors import UserError

Logits = NDArray[np.float32]
Images = NDArray[np.float32]

INSTALL = "pip install 'squeezed[engines]'"
"""How to get the engines that are not installed by themselves."""


class CannotRun(UserError):
    """An engine that is installed cannot run this file."""


class Engine(Protocol):
    """One graph, ready to run on the processor."""

    name: str
    """As in `squeezed.graphs.engines.ENGINES`."""

    integer_path: str | None
    """How uint8 activations are multiplied with 8-bit weights: `u8s8`, `u8u8` or, where ours are
    rewritten because sums of int8 products would saturate, `u8u8, exact`; None: in no layer."""

    def predict(self, images: Images) -> Logits:
        """Return the logits, shape (n, classes), of images (n, C, H, W) in [0, 1]."""
        ...

    def predict_batches(self, batches: Iterable[Images]) -> Logits:
        """Return the logits of all images of all batches."""
        ...

    def executed_precisions(self) -> dict[str, str]:
        """Return, for each layer with weights, in which precision the engine computes it.

        `int8`, `float32`, `bfloat16` or `float16`, as read from what the engine made of the graph.
        """
        ...


class InBatches(ABC):
    """`predict_batches` for an engine that has `predict`."""

    @abstractmethod
    def predict(self, images: Images) -> Logits:
        """Return the logits of one batch."""

    def predict_batches(self, batches: Iterable[Images]) -> Logits:
        """Return the logits of all images of all batches."""
        return np.concatenate([self.predict(images) for images in batches])


def not_installed(package: str, engine: str, error: ImportError) -> UserError:
    """Return what to say when an engine's package is missing."""
    return UserError(
        f"engine {engine} needs {package}, which is not installed ({error}): {INSTALL}"
    )
