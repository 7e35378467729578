"""A smaller network of the same family, which learns what its parent says."""

import pytest
import torch

from squeezed.foundation.errors import UserError
from squeezed.networks import build_network
from squeezed.steps.distil import (
    LADDERS,
    DistilSettings,
    SmallerArchitecture,
    distil,
    smaller_member,
)
from tests.steps.networks import CLASSES, images, tiny_vgg
from tests.steps.workshop import stored, tiny_card, training


def settings(**changes):
    fields = {
        "width": 0.5,
        "architecture": None,
        "teacher_weight": 0.9,
        "temperature": 4.0,
        "training": training(),
    }
    return DistilSettings(**{**fields, **changes})


def test_half_as_wide_from_random_weights(workshop, tmp_path):
    made = distil(tiny_vgg(), tiny_card(), settings(), workshop)
    assert made.card.arguments == {"widths": [2, 3, 3, 4], "hidden_features": [6, 5]}
    assert made.card.edits == []
    assert 0 < made.metrics["parameters_share"] < 0.5
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))


def test_the_parent_s_edits_are_not_its_own(workshop):
    parent = tiny_card(edits=[{"edit": "cut", "convolutions": 1}])
    assert distil(tiny_vgg(), parent, settings(), workshop).card.edits == []


def test_a_named_architecture(workshop, tmp_path):
    chosen = SmallerArchitecture("resnet_cifar", {"depth": 8, "width": 4})
    made = distil(tiny_vgg(), tiny_card(), settings(architecture=chosen), workshop)
    assert (made.card.architecture, made.card.arguments) == (chosen.name, chosen.arguments)
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))


def test_it_comes_nearer_to_its_teacher(workshop):
    """Labels that the teacher gets wrong: only what it says can bring the pupil near to it."""
    teacher = tiny_vgg(seed=3)
    batch = torch.from_numpy(workshop.dataset.validation.images())

    def distance(weight):
        chosen = settings(
            teacher_weight=weight,
            width=1.0,
            training=training(epochs=15, learning_rate=0.05),
        )
        pupil = distil(teacher, tiny_card(), chosen, workshop).model
        with torch.no_grad():
            return float((pupil(batch).softmax(1) - teacher(batch).softmax(1)).abs().mean())

    assert distance(1.0) < 0.7 * distance(0.0)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("vgg6", {}, {"widths": [8, 8, 16, 16, 32, 64], "hidden_features": [512, 256]}),
        ("vgg6", {"widths": [1, 4]}, {"widths": [1, 2], "hidden_features": [512, 256]}),
        ("resnet_cifar", {"depth": 56}, {"depth": 56, "width": 8}),
        ("mobilenet_v2", {}, {"width_mult": 0.5}),
        ("resnet50", {}, {"width_per_group": 32}),
    ],
)
def test_families_with_widths(name, arguments, expected):
    arguments = dict(arguments)
    found_name, found = smaller_member(name, arguments, 0.5)
    assert found_name == name
    assert found == expected


def test_families_with_names():
    assert smaller_member("vgg16_bn", {}, 0.5) == ("vgg13_bn", {})
    assert smaller_member("resnet34", {}, 0.5) == ("resnet18", {})
    with pytest.raises(UserError, match="family of resnet18 is known: name one"):
        smaller_member("resnet18", {}, 0.5)


@pytest.mark.slow  # torchvision takes seconds to import
def test_each_step_down_is_smaller():
    from torchvision import models

    def parameters(name, **arguments):
        with torch.device("meta"):
            network = models.get_model(name, weights=None, num_classes=CLASSES, **arguments)
        return sum(p.numel() for p in network.parameters())

    def size(name):
        return models.get_model_weights(name).DEFAULT.meta["num_params"]

    for ladder in LADDERS:
        sizes = [size(name) for name in ladder]
        assert sizes == sorted(sizes, reverse=True), ladder
    for name in ("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "resnet50"):
        same_name, arguments = smaller_member(name, {}, 0.5)
        assert parameters(same_name, **arguments) < parameters(name)
        build_network(name, num_classes=3, image_size=(64, 64), arguments=arguments)
