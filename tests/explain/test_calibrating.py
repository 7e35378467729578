"""Scores of maps do not follow a network's confidence."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from squeezed.data import open_dataset
from squeezed.data.dataset import Dataset
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.explain.attribution import predictions
from squeezed.explain.calibrating import calibrating_temperature
from squeezed.explain.cam import Pictures, attribution_maps, map_scores
from squeezed.networks import Classifier
from tests.twins import twin_of

SIZE = 12
CPU = torch.device("cpu")


def bars(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy pictures of lying (0) and standing (1) bars; one label in ten is wrong."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = generator.integers(0, 120, (n, 3, SIZE, SIZE), dtype=np.uint8)
    images[labels == 0, :, 3:5, :] += 80
    images[labels == 1, :, :, 3:5] += 80
    return images, np.where(generator.random(n) < 0.1, 1 - labels, labels)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return written(tmp_path_factory.mktemp("bars") / "data.safetensors", validation=80)


def written(path: Path, validation: int) -> Dataset:
    splits = {"train": bars(120, 0), "validation": bars(validation, 1), "test": bars(40, 2)}
    write_tensor_dataset(
        path, name="bars", class_names=["lying", "standing"], splits=splits, source={}
    )
    return open_dataset(path)


@pytest.fixture(scope="module")
def trained(dataset: Dataset) -> Classifier:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten()]
    network = Classifier(nn.Sequential(*layers, nn.Linear(8 * 16, 2)), [0.3] * 3, [0.2] * 3)
    images = torch.from_numpy(dataset.train.images())
    labels = torch.from_numpy(np.asarray(dataset.train.labels))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval()


def less_confident(network: Classifier) -> Classifier:
    """Return the network whose logits are a quarter of `network`'s: it decides the same."""
    other = copy.deepcopy(network)
    for parameter in other.network[-1].parameters():
        parameter.data *= 0.25
    return other


def test_confidence_alone_moves_no_score(dataset: Dataset, trained: Classifier) -> None:
    images = torch.from_numpy(dataset.test.images())
    masks = np.zeros((len(images), SIZE, SIZE), dtype=bool)
    masks[:, 3:5] = True
    calibrated, as_they_are = [], []
    for network in (trained, less_confident(trained)):
        twin = twin_of(network, (SIZE, SIZE))
        pictures = Pictures(images, predictions(twin, images)[0])
        maps = {"guided_backprop": attribution_maps(twin, pictures, "guided_backprop")}
        temperature, split, n = calibrating_temperature(twin, dataset, CPU, seed=0)
        assert (split, n) == ("validation", 80)
        for found, of in ((calibrated, temperature), (as_they_are, 1.0)):
            scores = map_scores(
                twin,
                pictures,
                maps,
                masks,
                mean_colour=dataset.mean,
                steps=6,
                road_shares=[0.3],
                temperature=of,
                seed=0,
            )
            found.append({name: values.mean() for name, values in scores.items()} | {"T": of})
    sure, unsure = calibrated
    assert unsure.pop("T") == pytest.approx(sure.pop("T") / 4, rel=1e-4)
    for name, value in sure.items():
        assert unsure[name] == pytest.approx(value, abs=0.02), name
    # What calibrating is for: without it the same maps score otherwise.
    moved = {name: abs(as_they_are[1][name] - value) for name, value in as_they_are[0].items()}
    assert moved["guided_backprop_insertion_auc"] > 0.02
    assert moved["guided_backprop_deletion_auc"] > 0.02


def test_without_validation_images_it_is_fitted_on_training_images(
    tmp_path: Path, trained: Classifier
) -> None:
    dataset = written(tmp_path / "data.safetensors", validation=0)
    temperature, split, n = calibrating_temperature(trained, dataset, CPU, seed=0)
    assert (split, n) == ("train", 120)
    less, _, _ = calibrating_temperature(less_confident(trained), dataset, CPU, seed=0)
    assert less == pytest.approx(temperature / 4, rel=1e-4)
