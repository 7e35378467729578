"""A data set cut down to a few images of each split: enough to try what would take long on all."""

from pathlib import Path
from typing import Any

from squeezed.data.dataset import Dataset


class FewOfEach:
    """A data set of which each split shows its first images only; a `Dataset` itself."""

    def __init__(self, dataset: Dataset, count: int) -> None:
        """Look at the first `count` images of each split of `dataset`."""
        self.name: str = dataset.name
        self.path: Path = dataset.path
        self.digest: str = dataset.digest
        self.class_names: list[str] = dataset.class_names
        self.image_size: tuple[int, int] = dataset.image_size
        self.mean: list[float] = dataset.mean
        self.std: list[float] = dataset.std
        self.source: dict[str, Any] = dataset.source
        self.preprocessing: dict[str, Any] = dataset.preprocessing
        self.train = dataset.train.first(count)
        self.validation = dataset.validation.first(count)
        self.test = dataset.test.first(count)
