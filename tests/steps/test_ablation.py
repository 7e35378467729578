"""Ablation removes what it says, keeps everything else bit for bit, and refuses the rest."""

import pytest
import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.networks.network_file import ModelCard, load_model, save_model
from squeezed.steps.ablation import ablate_convolutions
from tests.steps.networks import (
    CLASSES,
    MEAN,
    SIZE,
    STD,
    images,
    narrow_vgg16,
    resnet18,
    tiny_vgg,
)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_convolutions_but_all(count, tmp_path):
    model = tiny_vgg()
    ablated, trainable = ablate_convolutions(model, count, SIZE, seed=0)
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

    card = ModelCard(
        "vgg6",
        {"widths": [4, 6, 6, 8], "hidden_features": [12, 10]},
        SIZE,
        [str(k) for k in range(CLASSES)],
        MEAN,
        STD,
        "ablated",
        0,
        ablated_convolutions=count,
    )
    save_model(tmp_path / "model.safetensors", ablated, card)
    loaded, _ = load_model(tmp_path / "model.safetensors")
    assert torch.equal(loaded(images(3)), ablated(images(3)))


def test_the_same_seed_draws_the_same_new_layer():
    first, second = (ablate_convolutions(tiny_vgg(), 1, SIZE, seed=3)[0] for _ in range(2))
    other = ablate_convolutions(tiny_vgg(), 1, SIZE, seed=4)[0]
    weight = first.network.classifier[0].weight
    assert torch.equal(weight, second.network.classifier[0].weight)
    assert not torch.equal(weight, other.network.classifier[0].weight)


def test_the_first_layer_is_kept_where_it_fits():
    """VGG-16's last convolutions are as wide as those before: its flattened size stays."""
    model = narrow_vgg16()
    ablated, _ = ablate_convolutions(model, 1, (32, 32), seed=0)
    assert torch.equal(ablated.network.classifier[0].weight, model.network.classifier[0].weight)
    removed = sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for p in ablated.parameters()
    )
    assert removed == 512 * 512 * 9 + 512 + 2 * 512, "one convolution and its batch norm"


@pytest.mark.parametrize("count", [0, 4, 7])
def test_too_many_or_none_is_refused(count):
    with pytest.raises(UserError, match="of 4 convolutions"):
        ablate_convolutions(tiny_vgg(), count, SIZE, seed=0)


def test_a_network_of_another_build_is_refused():
    with pytest.raises(UserError, match=r"nn\.Sequential called 'features'"):
        ablate_convolutions(resnet18(), 1, (32, 32), seed=0)
