"""A baseline from random or pretrained weights, and a training that goes on from a parent."""

import dataclasses

import pytest
import torch

from squeezed.foundation.errors import UserError
from squeezed.steps.train import train
from tests.steps.networks import images, tiny_vgg
from tests.steps.workshop import stored, tiny_card, training

ARGUMENTS = {"widths": [4, 6, 6, 8], "hidden_features": [12, 10]}


def at(workshop, **architecture):
    chosen = {"name": "vgg6", "arguments": ARGUMENTS, "weights": None, **architecture}
    return dataclasses.replace(workshop, architecture=chosen)


def test_a_baseline_describes_itself(workshop, tmp_path):
    made = train(None, None, training(), at(workshop))
    assert made.card.class_names == workshop.dataset.class_names
    assert (made.card.architecture, made.card.arguments) == ("vgg6", ARGUMENTS)
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))


def test_without_epochs_weights_are_as_they_are(workshop, tmp_path):
    torch.save(tiny_vgg().network.state_dict(), tmp_path / "mine.pth")
    made = train(None, None, training(epochs=0), at(workshop, weights=str(tmp_path / "mine.pth")))
    for name, tensor in tiny_vgg().network.state_dict().items():
        assert torch.equal(made.model.network.state_dict()[name], tensor)
    other = {**ARGUMENTS, "hidden_features": [12, 9]}
    with pytest.raises(UserError, match="do not fit"):
        train(
            None,
            None,
            training(epochs=0),
            at(workshop, weights=str(tmp_path / "mine.pth"), arguments=other),
        )


def test_a_child_goes_on_from_its_parent(workshop, tmp_path):
    parent, card = tiny_vgg(), tiny_card(edits=[])
    before = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    made = train(parent, card, training(epochs=2), workshop)
    assert made.card == card
    assert made.training.best_epoch > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in parent.state_dict().items())
    first, second = (m.network.classifier[0].weight.detach() for m in (parent, made.model))
    assert 0 < float((first - second).abs().max()) < 1, "it went on, not from new weights"
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))
