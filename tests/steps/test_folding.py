"""Folding changes the layers and not the logits, on any network that torch.fx can follow."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.steps.folding import convolution_batch_norm_pairs, fold_batch_norm
from tests.steps.networks import disturb, images, narrow_vgg16, resnet18, tiny_vgg


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_one_pair_equals_its_closed_form(inputs, outputs, kernel, bias, affine, seed):
    network = nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, bias=bias), nn.BatchNorm2d(outputs, affine=affine)
    )
    torch.manual_seed(seed)
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.1, 3)
    if affine:
        nn.init.normal_(network[1].weight)
        nn.init.normal_(network[1].bias)
    network.eval()
    values = torch.randn(2, inputs, 6, 6)
    folded, names = fold_batch_norm(network)
    assert names == ["1"]
    assert isinstance(folded[1], nn.Identity)
    assert torch.allclose(folded(values), network(values), atol=1e-4, rtol=1e-4)


def test_vgg6_keeps_its_class_names_and_logits():
    model = tiny_vgg()
    folded, names = fold_batch_norm(model.network)
    assert type(folded) is type(model.network)
    assert names == ["features.1", "features.4", "features.8", "features.11"]
    assert [n for n, _ in folded.named_modules()] == [n for n, _ in model.network.named_modules()]
    normalised = model.normalise(images(8))
    assert torch.allclose(folded(normalised), model.network(normalised), atol=1e-4)


@pytest.mark.parametrize("make", [narrow_vgg16, resnet18])
def test_torchvision_networks(make):
    model = make()
    batch_norms = [n for n, m in model.network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    folded, names = fold_batch_norm(model.network)
    assert sorted(names) == sorted(batch_norms)
    normalised = model.normalise(images(2, (32, 32)))
    expected = model.network(normalised).detach()
    assert torch.allclose(folded(normalised), expected, atol=1e-3 * float(expected.abs().max()))


def test_a_convolution_that_others_read_too_is_left_alone():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 1)
            self.batch_norm = nn.BatchNorm2d(3)

        def forward(self, values):
            found = self.convolution(values)
            return self.batch_norm(found) + found

    assert convolution_batch_norm_pairs(disturb(Shared())) == []


def test_a_forward_pass_that_depends_on_values_is_refused():
    class Depends(nn.Module):
        def forward(self, values):
            return values if values.sum() > 0 else -values

    with pytest.raises(UserError, match=r"torch\.fx cannot follow"):
        fold_batch_norm(Depends())
