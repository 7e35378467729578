"""Recovery holds masks and frozen parts; the search finds the largest amount within the drop."""

import csv

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from squeezed.data import open_dataset
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.steps import pruning_search
from squeezed.steps.ablation import ablate_convolutions
from squeezed.steps.pruning_search import prune_and_recover, write_trials
from squeezed.training.loop import TrainingResult, train
from tests.steps.networks import tiny_vgg

RECOVERY = {
    "epochs": 1,
    "batch_size": 32,
    "learning_rate": 0.01,
    "schedule": "one_cycle",
    "warmup_share": 0.2,
    "momentum": 0.9,
    "weight_decay": 0.01,
    "label_smoothing": 0.0,
    "precision": "fp32",
    "augmentation": {"horizontal_flip": False, "crop_padding": 0, "resized_crop": None},
    "workers": 0,
    "processes": 1,
}
PRUNING = {
    "granularity": "slice",
    "ranking": "layer",
    "maximum_drop": 0.05,
    "search_step": 0.1,
    "recovery": RECOVERY,
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Five classes of scikit-learn's digits, 8×8."""
    bunch = load_digits(n_class=5)
    pixels = np.repeat((bunch.images * 15).astype(np.uint8)[:, None], 3, axis=1)
    labels = bunch.target.astype(np.int64)
    parts = {"train": slice(0, 96), "validation": slice(96, 160), "test": slice(160, 200)}
    path = tmp_path_factory.mktemp("data") / "digits.safetensors"
    write_tensor_dataset(
        path,
        name="digits",
        class_names=[str(k) for k in range(5)],
        splits={name: (pixels[part], labels[part]) for name, part in parts.items()},
        source={},
    )
    return open_dataset(path)


def test_masks_hold_through_recovery(digits):
    model = tiny_vgg()
    pruned = prune_and_recover(model, digits, {**PRUNING, "amount": 0.3}, seed=0)
    for name, mask in pruned.masks.items():
        weight = pruned.model.network.get_parameter(name)
        assert (weight[~mask] == 0).all()
        assert (weight[mask] != model.network.get_parameter(name)[mask]).any(), "it trained"
    assert [trial.amount for trial in pruned.trials] == [0.3]


def test_ablations_recovery_leaves_frozen_parts_bit_identical(digits):
    model = tiny_vgg()
    ablated, trainable = ablate_convolutions(model, 1, (8, 8), seed=0)
    start = {name: tensor.clone() for name, tensor in ablated.network.state_dict().items()}
    train(ablated, digits, RECOVERY, seed=0, trainable=trainable)
    for name, tensor in ablated.network.state_dict().items():
        frozen = name.startswith("features")
        assert torch.equal(tensor, start[name]) == frozen, name


def _recovery_that_reaches(accuracy_of_amount, monkeypatch):
    """Replace training: the accuracy after recovery is a known function of the amount."""
    tried = []
    monkeypatch.setattr(pruning_search, "evaluate_split", lambda *a, **k: (0.0, 0.9))

    def masks(network, amount, **options):
        tried.append(amount)
        return {}

    monkeypatch.setattr(pruning_search, "pruning_masks", masks)
    monkeypatch.setattr(
        pruning_search,
        "train",
        lambda *a, **k: TrainingResult([], 1, accuracy_of_amount(tried[-1]), "cpu", "fp32"),
    )


@pytest.mark.parametrize("limit", [0.05, 0.1, 0.35, 0.55, 0.95])
def test_the_search_finds_the_largest_amount(limit, digits, monkeypatch):
    _recovery_that_reaches(lambda amount: 0.9 if amount <= limit else 0.5, monkeypatch)
    settings = {**PRUNING, "amount": "auto", "search_step": 0.05}
    found = prune_and_recover(tiny_vgg(), digits, settings, seed=0)
    assert found.amount == pytest.approx(limit)
    assert len(found.trials) <= 5, "it bisects 19 amounts"


def test_a_search_in_vain_says_so(digits, monkeypatch, tmp_path):
    _recovery_that_reaches(lambda amount: 0.1, monkeypatch)
    found = prune_and_recover(tiny_vgg(), digits, {**PRUNING, "amount": "auto"}, seed=0)
    assert found.amount == pytest.approx(0.1)
    assert not any(trial.within for trial in found.trials)
    write_trials(tmp_path / "search.csv", found.trials)
    with (tmp_path / "search.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["amount"] for row in rows] == [str(trial.amount) for trial in found.trials]
    assert {row["within"] for row in rows} == {"False"}
