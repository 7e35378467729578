"""The best approximation of a rank, the same function at full rank, and only where it pays."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.networks.low_rank import full_rank, split_layers
from squeezed.steps.factorize import (
    FactorizeSettings,
    choose_ranks,
    factorize,
    split_weights,
    structure,
)
from tests.steps.networks import SIZE, images, tiny_vgg
from tests.steps.workshop import stored, tiny_card, training


def settings_of(**changes):
    fields = {"rank_share": 0.25, "energy": None, "recovery": training()}
    return FactorizeSettings(**{**fields, **changes})


def composed(pair):
    """The one weight that two layers in a row have, as a fully connected or k×l convolution."""
    first, second = (each.weight.detach().double().numpy() for each in pair)
    if first.ndim == 2:
        return second @ first
    return np.einsum("rih,orw->oihw", first[..., 0], second[:, :, 0])


def matrix_of(weight):
    """The matrix that is approximated, by its own words: (o, x) against (i, y)."""
    if weight.ndim == 2:
        return weight
    outputs, inputs, height, width = weight.shape
    matrix = np.zeros((outputs * width, inputs * height))
    for o, i, y, x in np.ndindex(*weight.shape):
        matrix[o * width + x, i * height + y] = weight[o, i, y, x]
    return matrix


layers = st.one_of(
    st.builds(lambda i, o, b: nn.Linear(i, o, bias=b), *[st.integers(1, 9)] * 2, st.booleans()),
    st.builds(
        lambda i, o, h, w, s, p, d, b: nn.Conv2d(i, o, (h, w), s, p, d, bias=b),
        st.integers(1, 5),
        st.integers(1, 6),
        st.integers(1, 3),
        st.integers(1, 3),
        st.sampled_from([1, 2, (2, 1)]),
        st.sampled_from([0, 1, (1, 0)]),
        st.sampled_from([1, 2]),
        st.booleans(),
    ),
)


@given(layers, st.integers(1, 20), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_truncation_is_the_best_approximation(layer, rank, seed):
    """Eckart and Young: no matrix of that rank is nearer; numpy's SVD says how near that is."""
    torch.manual_seed(seed)
    nn.init.normal_(layer.weight)
    rank = min(rank, full_rank(layer))
    network = nn.Sequential(copy.deepcopy(layer))
    split_weights(network, {"0": rank})
    weight = layer.weight.detach().double().numpy()
    values = np.linalg.svd(matrix_of(weight), compute_uv=False)
    error = np.linalg.norm(composed(network[0]) - weight)
    assert error == pytest.approx(np.sqrt((values[rank:] ** 2).sum()), abs=1e-5 * values[0])
    if layer.bias is not None:
        assert torch.equal(network[0][1].bias, layer.bias)


@given(layers, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_full_rank_is_the_same_function(layer, seed):
    torch.manual_seed(seed)
    network = nn.Sequential(copy.deepcopy(layer))
    split_weights(network, {"0": full_rank(layer)})
    linear = isinstance(layer, nn.Linear)
    values = (
        torch.randn(3, layer.in_features) if linear else torch.randn(2, layer.in_channels, 9, 8)
    )
    expected = layer(values)
    assert network(values).shape == expected.shape
    assert torch.allclose(network(values), expected, atol=1e-4)


@given(st.floats(0.01, 1.0), st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_ranks_by_energy_are_the_lowest_that_keep_it(energy, seed):
    network = tiny_vgg(seed).network
    for name, rank in choose_ranks(network, SIZE, 1.0, energy).items():
        weight = network.get_submodule(name).weight.detach().double().numpy()
        squares = np.linalg.svd(matrix_of(weight), compute_uv=False) ** 2
        assert squares[:rank].sum() >= energy * squares.sum() * (1 - 1e-9)
        assert squares[: rank - 1].sum() < energy * squares.sum()


def test_what_stays_whole():
    ranks = choose_ranks(tiny_vgg().network, SIZE, 0.25, None)
    assert ranks == {
        # Full ranks: 12, 18 and 18; 12 and 10.
        "features.3": 3,
        "features.7": 4,
        "features.10": 4,
        "classifier.0": 3,
        "classifier.2": 2,
    }
    grouped = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(128, 5)
    )
    assert choose_ranks(grouped, (8, 8), 0.25, None) == {}


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.8, 1.0])
def test_only_what_gets_cheaper_is_split(share):
    network = tiny_vgg().network
    ranks = choose_ranks(network, SIZE, share, None)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear) and name in ranks:
            assert ranks[name] * (layer.in_features + layer.out_features) < layer.weight.numel()
        elif isinstance(layer, nn.Conv2d) and name in ranks:
            parts = ranks[name] * 3 * (layer.in_channels + layer.out_channels)
            assert parts < layer.weight.numel()
    assert ranks.keys() <= choose_ranks(network, SIZE, share / 2, None).keys()
    assert (ranks != {}) if share < 0.5 else (share < 1.0 or ranks == {})


def test_a_factorized_network_recovers_and_comes_back(workshop, tmp_path):
    parent = tiny_vgg()
    made = factorize(parent, tiny_card(), settings_of(), workshop)
    start = structure(parent, tiny_card(), settings_of())
    assert start.card == made.card
    lost = sum(p.numel() for p in parent.parameters()) - sum(
        p.numel() for p in made.model.parameters()
    )
    assert made.metrics == {"factorized_layers": 5, "removed_parameters": lost}
    assert lost > 0
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))
    before, after = (each.model.network.features[3][0].weight for each in (start, made))
    assert not torch.equal(before, after), "it trained"


def test_ranks_that_save_nothing_are_refused():
    with pytest.raises(UserError, match="no layer of vgg6 gets cheaper"):
        structure(tiny_vgg(), tiny_card(), settings_of(rank_share=1.0))


def test_nan_weights_are_refused_by_name():
    model = tiny_vgg()
    model.network.classifier[2].weight.data[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"classifier\.2.*NaN"):
        structure(model, tiny_card(), settings_of())


@pytest.mark.parametrize("ranks", [{"features.0": 0}, {"features.0": 99}, {"features.2": 1}])
def test_ranks_that_do_not_exist_are_refused(ranks):
    with pytest.raises(ValueError, match="cannot be split"):
        split_layers(tiny_vgg().network, ranks)
