"""Removed channels are gone, and what is left computes as the whole does with them silent."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from squeezed.networks import build_network
from squeezed.networks.channels import remove_channels
from squeezed.networks.resnet_cifar import ZeroPadShortcut
from squeezed.steps.channel_groups import choose_channels, rounded
from tests.matrix import matrix
from tests.steps.networks import disturb, narrow_vgg16, tiny_vgg


def silenced(network, channels):
    """Let nothing leave the channels that `channels` would remove."""
    network = copy.deepcopy(network)
    for name, removal in channels.items():
        module = network.get_submodule(name)
        inputs, outputs = removal.get("inputs", []), removal.get("outputs", [])
        if isinstance(module, ZeroPadShortcut):
            module.sources = [
                module.in_channels if source in inputs or out in outputs else source
                for out, source in enumerate(module.sources)
            ]
            module._arrange()
            continue
        with torch.no_grad():
            if outputs:
                module.weight[outputs] = 0
                if module.bias is not None:
                    module.bias[outputs] = 0
            if inputs and getattr(module, "groups", 1) == 1:
                module.weight[:, inputs] = 0
    return network


def assert_same_function(network, size, amount=0.5, **options):
    channels, removable = choose_channels(network, size, amount, **options)
    assert 0 < removable.removed < removable.total
    smaller = copy.deepcopy(network)
    remove_channels(smaller, channels)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = silenced(network, channels)(images)
        found = smaller(images)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert expected.std() > 0
    # Again on a fresh one, as loading does.
    return channels, smaller


@given(st.integers(0, 99), st.sampled_from([0.2, 0.5, 0.8]), st.sampled_from(["layer", "global"]))
@settings(max_examples=10, deadline=None)
def test_a_vgg(seed, amount, ranking):
    network = tiny_vgg(seed).network
    _, smaller = assert_same_function(network, (8, 8), amount, ranking=ranking, round_to=1)
    if ranking == "layer":
        widths = [m.out_channels for m in smaller.modules() if isinstance(m, nn.Conv2d)]
        assert widths == [n - round(amount * n) for n in (4, 6, 6, 8)]


def test_the_smallest_filters_go():
    network = tiny_vgg().network
    with torch.no_grad():
        network.features[3].weight[[1, 4]] *= 1e-3
        network.classifier[0].weight[7] *= 1e-3
    channels, _ = choose_channels(network, (8, 8), 1 / 3, round_to=1)
    assert channels["features.3"]["outputs"] == [1, 4]
    assert channels["features.4"]["outputs"] == channels["features.7"]["inputs"] == [1, 4]
    assert 7 in channels["classifier.0"]["outputs"]
    assert "outputs" not in channels["classifier.4"], "the classes stay"
    assert "inputs" not in channels["features.0"], "the images stay"
    # Each channel of the last map is a square of inputs of the first fully connected layer.
    gone = channels["features.10"]["outputs"]
    assert channels["classifier.0"]["inputs"] == [4 * c + k for c in gone for k in range(4)]


def resnet20():
    return build_network("resnet_cifar", num_classes=5, image_size=(16, 16))


def test_shortcuts_without_weights():
    channels, smaller = assert_same_function(disturb(resnet20()), (16, 16))
    shortcut = smaller.layer2[0].shortcut
    assert (shortcut.in_channels, shortcut.out_channels) == (8, 16)
    twice, _ = choose_channels(smaller, (16, 16), 0.5, round_to=1)
    assert twice.keys() == channels.keys(), "what was made smaller can be made smaller again"
    assert_same_function(smaller, (16, 16), round_to=1)


FAMILIES = [
    "resnet18",
    "googlenet",
    "mobilenet_v2",
    "densenet121",
    "efficientnet_b0",
    "resnext50_32x4d",
    "squeezenet1_1",
]


@pytest.mark.parametrize("ranking", ["layer", "global"])
@pytest.mark.parametrize("name", matrix(FAMILIES, "resnet18", "squeezenet1_1"))
def test_networks_of_torchvision(name, ranking):
    network = disturb(build_network(name, num_classes=5, image_size=(64, 64)))
    channels, smaller = assert_same_function(network, (64, 64), 0.3, ranking=ranking)
    again = build_network(name, num_classes=5, image_size=(64, 64))
    remove_channels(again, channels)
    again.load_state_dict(smaller.state_dict())


@pytest.mark.slow
def test_vgg16():
    _, smaller = assert_same_function(narrow_vgg16().network, (32, 32))
    convolutions = [m for m in smaller.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions[:4]] == [32, 32, 64, 64]


@given(st.integers(1, 600), st.integers(0, 600), st.integers(1, 64), st.sampled_from([1, 2, 4]))
def test_kept_counts_are_rounded(total, kept, round_to, parts):
    total *= parts
    kept = min(kept * parts, total)
    found = rounded(kept, total, round_to, parts)
    assert 0 < found <= total
    assert found % parts == 0
    if found < total:
        assert found % round_to == 0
        assert abs(found - kept) <= max(round_to * parts / 2, round_to * parts - kept)
    if kept == total:
        assert found == total


@pytest.mark.parametrize(
    ("removal", "error"),
    [
        ({"features.0": {"outputs": [4]}}, ValueError),
        ({"features.0": {"outputs": [-1]}}, ValueError),
        ({"features.0": {"outputs": [0, 1, 2, 3]}}, ValueError),
        ({"features.0": {"columns": [0]}}, ValueError),
        ({"features.2": {"outputs": [0]}}, TypeError),
        ({"nowhere": {"outputs": [0]}}, AttributeError),
    ],
)
def test_what_does_not_fit_is_refused(removal, error):
    with pytest.raises(error):
        remove_channels(tiny_vgg().network, removal)


def test_groups_must_shrink_alike():
    network = nn.Sequential(nn.Conv2d(4, 8, 1, groups=2), nn.Conv2d(8, 8, 1, groups=8))
    remove_channels(network, {"0": {"inputs": [1, 2], "outputs": [0, 5]}})
    assert network[0].weight.shape == (6, 1, 1, 1)
    with pytest.raises(ValueError, match="as many channels"):
        remove_channels(network, {"0": {"outputs": [0]}})
    remove_channels(network, {"1": {"outputs": [0, 5]}})
    assert (network[1].groups, network[1].in_channels) == (6, 6)
    assert network(torch.zeros(1, 2, 3, 3)).shape == (1, 6, 3, 3)
