"""Rounding as ONNX defines it, and both of its gradients."""

import numpy as np
import pytest
import torch
from torch import nn

from squeezed.graphs.twin import gradient_of_rounding, is_rounded
from squeezed.graphs.twin.rounding import DynamicFakeQuantize, FakeQuantize


def grid(scale: float = 0.25, zero_point: int = 3) -> FakeQuantize:
    return FakeQuantize(torch.tensor(scale), torch.tensor(float(zero_point)), 0, 255)


def test_rounds_half_to_even_and_clamps():
    x = torch.tensor([0.125, 0.375, -0.125, 0.13, -10.0, 1000.0])
    expected = torch.tensor([0.0, 0.5, 0.0, 0.25, -0.75, 63.0])
    assert torch.equal(grid()(x), expected)


def test_divides_as_onnx_does():
    """x · (1 / scale) would round some of these the other way."""
    scale = np.float32(2 / 255)
    x = (np.arange(511) / 255).astype(np.float32)
    expected = np.rint(x / scale) * scale
    assert np.array_equal(grid(float(scale), 0)(torch.from_numpy(x)).numpy(), expected)
    assert (np.rint(x * (np.float32(1) / scale)) * scale != expected).any()


def test_gradient_is_one_inside_and_zero_outside():
    x = torch.tensor([-10.0, -0.75, 0.0, 1.1, 63.0, 64.0], requires_grad=True)
    grid()(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("rounding", [grid(), DynamicFakeQuantize()])
def test_true_gradient_is_zero_inside_the_block_only(rounding):
    module = nn.Sequential(nn.ReLU(), rounding)
    x = torch.tensor([0.5, 1.0], requires_grad=True)
    with gradient_of_rounding(module):
        module(x).sum().backward()
    assert x.grad.tolist() == [0, 0]
    module(x).sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_the_value_is_the_same_with_and_without_gradients():
    x = torch.linspace(-5, 70, 1000)
    with_gradient = grid()(x.clone().requires_grad_())
    assert torch.equal(with_gradient, grid()(x))
    with gradient_of_rounding(rounding := grid()):
        assert torch.equal(rounding(x.clone().requires_grad_()), grid()(x))


def test_each_channel_has_its_scale():
    scale = torch.tensor([0.5, 1.0]).view(2, 1, 1)
    rounding = FakeQuantize(scale, torch.zeros_like(scale), -128, 127)
    assert rounding(torch.full((1, 2, 1, 1), 0.6)).flatten().tolist() == [0.5, 1.0]


def test_a_dynamic_range_is_the_batch_s_or_each_image_s():
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) - 0.3
    x[0] *= 100
    rounding = DynamicFakeQuantize()
    together = rounding(x)
    rounding.range_of_each_image = True
    alone = rounding(x)
    assert torch.equal(alone, torch.cat([DynamicFakeQuantize()(row[None]) for row in x]))
    assert not torch.equal(alone, together)


def test_is_rounded():
    assert is_rounded(nn.Sequential(nn.ReLU(), grid()))
    assert not is_rounded(nn.ReLU())
