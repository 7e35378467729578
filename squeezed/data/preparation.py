"""From a data set's section of the configuration to a prepared data set."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from squeezed.data.splitting import hold_out
from squeezed.data.tensor_file import write_tensor_dataset

logger = logging.getLogger(__name__)

DIGITS_TEST_FRACTION = 0.2


def prepare_dataset(name: str, settings: Mapping[str, Any], output: Path) -> dict[str, int]:
    """Write the data set `name` to `output`, whole or not at all.

    Args:
        name: the data set's name.
        settings: its section of the configuration, complete.
        output: the prepared data set, for `squeezed.data.open_dataset`.

    Returns:
        The number of images in each split.

    Raises:
        squeezed.errors.UserError: for anything that is wrong with the source.
    """
    images, labels, class_names, test_images, test_labels, source = _read_digits(settings)
    kept, held_out = hold_out(labels, settings["validation_fraction"], settings["split_seed"])
    splits = {
        "train": (images[kept], labels[kept]),
        "validation": (images[held_out], labels[held_out]),
        "test": (test_images, test_labels),
    }
    write_tensor_dataset(output, name=name, class_names=class_names, splits=splits, source=source)
    return {split: len(content[1]) for split, content in splits.items()}


def _read_digits(settings: Mapping[str, Any]) -> Any:
    from squeezed.data.digits import read_digits  # scikit-learn takes 3 s to import

    images, labels = read_digits()
    kept, test = hold_out(labels, DIGITS_TEST_FRACTION, settings["split_seed"])
    source = {"kind": "digits"}
    names = [str(digit) for digit in range(10)]
    return images[kept], labels[kept], names, images[test], labels[test], source
