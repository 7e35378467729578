"""A little data, short trainings, and what a job gives a step."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from squeezed.data import open_dataset
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.foundation.settings import read_settings
from squeezed.networks.network_file import NetworkCard, load_network, save_network
from squeezed.steps.network_step import MadeNetwork
from squeezed.steps.step import Workshop
from squeezed.training.settings import TrainingSettings
from tests.steps.networks import CLASSES, MEAN, SIZE, STD

TRAINING = {
    "epochs": 1,
    "batch_size": 32,
    "processes": 1,
    "learning_rate": 0.01,
    "schedule": "one_cycle",
    "warmup_share": 0.2,
    "momentum": 0.9,
    "weight_decay": 0.01,
    "label_smoothing": 0.0,
    "precision": "fp32",
    "augmentation": {
        "horizontal_flip": False,
        "crop_padding": 0,
        "resized_crop": None,
        "mixup": 0.0,
        "adversarial": 0.0,
    },
}


def training(**changes) -> TrainingSettings:
    return read_settings(TrainingSettings, {**TRAINING, **changes})


def tiny_card(architecture="vgg6", arguments=None, size=SIZE, edits=()) -> NetworkCard:
    """The card of `tests.steps.networks.tiny_vgg`, or of another network for five classes."""
    if arguments is None:
        arguments = {"widths": [4, 6, 6, 8], "hidden_features": [12, 10]}
    names = [str(k) for k in range(CLASSES)]
    return NetworkCard(architecture, arguments, size, names, MEAN, STD, "any", 0, edits=list(edits))


def five_digits(folder: Path):
    """Five classes of scikit-learn's digits, 8×8, as a data set."""
    bunch = load_digits(n_class=5)
    pixels = np.repeat((bunch.images * 15).astype(np.uint8)[:, None], 3, axis=1)
    labels = bunch.target.astype(np.int64)
    parts = {"train": slice(0, 96), "validation": slice(96, 160), "test": slice(160, 200)}
    path = folder / "digits.safetensors"
    write_tensor_dataset(
        path,
        name="digits",
        class_names=[str(k) for k in range(5)],
        splits={name: (pixels[part], labels[part]) for name, part in parts.items()},
        source={},
    )
    return open_dataset(path)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Workshop:
    return Workshop(five_digits(tmp_path_factory.mktemp("data")), 0, "cpu", 1, None)


def stored(made: MadeNetwork, folder: Path):
    """Write a network file and read it again."""
    path = folder / "network.safetensors"
    card = made.described(variant="any", seed=0, recipe={}, parents={})
    save_network(path, made.model, card)
    loaded, found = load_network(path)
    assert found == card
    return loaded
