"""Ablation removes what it says, keeps everything else bit for bit, and refuses the rest."""

import pytest
import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.networks import Classifier, build_network
from squeezed.steps.ablate import AblateSettings, ablate, structure
from tests.steps.networks import CLASSES, MEAN, STD, disturb, images, narrow_vgg16, tiny_vgg
from tests.steps.workshop import stored, tiny_card, training


def settings(**changes):
    fields = {"convolutions": 1, "cut_after": None, "recovery": training()}
    return AblateSettings(**{**fields, **changes})


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_convolutions_but_all(count, tmp_path):
    model = tiny_vgg()
    made, trainable = structure(model, tiny_card(), settings(convolutions=count), 0)
    ablated = made.model
    convolutions = [m for m in ablated.network.modules() if isinstance(m, nn.Conv2d)]
    pools = [m for m in ablated.network.modules() if isinstance(m, nn.MaxPool2d)]
    assert len(convolutions) == 4 - count
    assert len(pools) == 2, "pooling stays"
    assert ablated.network.classifier[0].in_features == convolutions[-1].out_channels * 4
    assert set(trainable) == {
        f"classifier.{k}.{kind}" for k in (0, 2, 4) for kind in ("weight", "bias")
    }
    state, before = ablated.network.state_dict(), model.network.state_dict()
    assert all(
        torch.equal(tensor, before[name])
        for name, tensor in state.items()
        if not name.startswith("classifier.0")
    )
    assert [name for name in before if name not in state], "something is gone"
    # The function: what is left of the original, then the new first layer.
    values = model.normalise(images(3))
    for name, module in model.network.features.named_children():
        if name in dict(ablated.network.features.named_children()):
            values = module(values)
    expected = ablated.network.classifier(values.flatten(1))
    assert torch.equal(ablated(images(3)), expected)

    assert torch.equal(stored(made, tmp_path)(images(3)), ablated(images(3)))


def test_the_same_seed_draws_the_same_new_layer():
    first, second, other = (
        structure(tiny_vgg(), tiny_card(), settings(), seed)[0].model for seed in (3, 3, 4)
    )
    weight = first.network.classifier[0].weight
    assert torch.equal(weight, second.network.classifier[0].weight)
    assert not torch.equal(weight, other.network.classifier[0].weight)


def test_the_first_layer_is_kept_where_it_fits():
    """VGG-16's last convolutions are as wide as those before: its flattened size stays."""
    model = narrow_vgg16()
    made, _ = structure(model, tiny_card("vgg16_bn", {}, (32, 32)), settings(), 0)
    ablated = made.model
    assert torch.equal(ablated.network.classifier[0].weight, model.network.classifier[0].weight)
    removed = sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for p in ablated.parameters()
    )
    assert removed == 512 * 512 * 9 + 512 + 2 * 512, "one convolution and its batch norm"


@pytest.mark.parametrize("count", [0, 4, 7])
def test_too_many_or_none_is_refused(count):
    with pytest.raises(UserError, match="of 4 convolutions"):
        structure(tiny_vgg(), tiny_card(), settings(convolutions=count), 0)


def test_recovery_leaves_frozen_parts_bit_identical(workshop, tmp_path):
    parent = tiny_vgg()
    start, _ = structure(parent, tiny_card(), settings(), workshop.seed)
    made = ablate(parent, tiny_card(), settings(), workshop)
    before = start.model.network.state_dict()
    for name, tensor in made.model.network.state_dict().items():
        frozen = name.startswith("features")
        assert torch.equal(tensor, before[name]) == frozen, name
    assert made.metrics == {"cut_convolutions": 1, "cut_after": None}
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cut_after", "head"),
    [
        ("resnet_cifar", None, "linear"),
        ("resnet18", None, "fc"),
        ("resnet18", "layer2.1.relu_1", "fc"),
        ("mobilenet_v3_small", None, "classifier"),
    ],
)
def test_other_networks_train_their_head_alone(workshop, tmp_path, name, cut_after, head):
    network = build_network(name, num_classes=CLASSES, image_size=(32, 32))
    parent = Classifier(disturb(network), MEAN, STD).eval()
    card = tiny_card(name, {}, (32, 32))
    chosen = settings(cut_after=cut_after)
    start, trainable = structure(parent, card, chosen, workshop.seed)
    assert {each.partition(".")[0] for each in trainable} == {head}
    assert start.metrics["cut_after"] == start.card.edits[0]["after"]
    made = ablate(parent, card, chosen, workshop)
    before = start.model.network.state_dict()
    moved = {
        name
        for name, tensor in made.model.network.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert moved == set(trainable)
    batch = images(3, (32, 32))
    assert torch.equal(stored(made, tmp_path)(batch), made.model(batch))
