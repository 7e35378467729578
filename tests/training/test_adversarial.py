"""Training against images that are changed to raise the loss."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from squeezed.training.adversarial import worst_within
from squeezed.training.loop import run_epochs
from tests.steps.networks import tiny_vgg
from tests.steps.workshop import TRAINING, five_digits, training


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return five_digits(tmp_path_factory.mktemp("digits"))


def test_against_a_linear_classifier_the_change_is_along_its_weights():
    """There the worst change of a length is known: along the gradient, which is always the same."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    images = torch.full((3, 3, 2, 2), 0.5)
    labels = torch.tensor([0, 1, 0])
    found = worst_within(linear, lambda z: functional.cross_entropy(z, labels), images, 0.2)
    weight = linear[1].weight.detach()
    away = (weight[1] - weight[0]) / (weight[1] - weight[0]).norm()
    for change, sign in zip((found - images).flatten(1), (1, -1, 1), strict=True):
        assert torch.allclose(change, sign * 0.2 * away, atol=1e-5)


def test_changes_keep_their_length_and_the_networks_mode_and_statistics():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    ).train()
    network[1].eval()  # frozen
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images, labels = torch.rand(8, 3, 8, 8), torch.arange(8) % 3

    def loss_of(logits):
        return functional.cross_entropy(logits, labels)

    found = worst_within(network, loss_of, images, 0.5)
    assert not found.requires_grad and found.min() >= 0 and found.max() <= 1
    assert (found - images).flatten(1).norm(dim=1).max() <= 0.5 + 1e-5
    assert network.training and network[0].training and not network[1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    network.eval()
    assert loss_of(network(found)) > loss_of(network(images)) + 0.01


def test_it_trains_reproducibly_and_is_off_at_zero(digits):
    def state(adversarial, mixup=0.0):
        model = tiny_vgg()
        augmentation = {**TRAINING["augmentation"], "adversarial": adversarial, "mixup": mixup}
        result = run_epochs(model, digits, training(augmentation=augmentation), seed=0)
        assert math.isfinite(result.history[0].train_loss)
        return model.network.classifier[4].weight

    plain, against = state(0.0), state(0.5)
    assert torch.equal(against, state(0.5))
    assert not torch.equal(plain, against)
    assert not torch.equal(against, state(0.5, mixup=0.4))
