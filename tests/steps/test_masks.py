"""Ranking and masks against brute force, and pruning that survives its recovery."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.steps.masks import apply_masks, pruning_masks
from tests.steps.networks import images, tiny_vgg

shapes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 6))


def _network(shape, seed):
    """Two convolutions (the first is spared) and a fully connected layer."""
    out, middle, kernel, hidden = shape
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, middle, 3),
        nn.Conv2d(middle, out, kernel),
        nn.Flatten(),
        nn.Linear(out, hidden),
    )
    for parameter in network.parameters():
        # Few distinct values, so that ties are common.
        parameter.data = torch.randint(-3, 4, parameter.shape, generator=generator).float()
    return network


def _groups(weight, granularity):
    """The index of each group of a weight, and its L1 norm for each weight in it, one by one."""
    groups = {}
    for index in torch.cartesian_prod(*[torch.arange(n) for n in weight.shape]).tolist():
        if weight.dim() == 4 and granularity == "slice":
            key = tuple(index[:2])
        elif weight.dim() == 4 and granularity == "filter":
            key = (index[0],)
        else:
            key = tuple(index)
        groups.setdefault(key, []).append(abs(weight[tuple(index)].item()))
    return {key: sum(values) / len(values) for key, values in groups.items()}


@given(
    shapes,
    st.integers(0, 100),
    st.floats(0, 0.99),
    st.sampled_from(["slice", "filter", "synapse"]),
)
@settings(max_examples=40, deadline=None)
def test_layer_ranking_equals_brute_force(shape, seed, amount, granularity):
    network = _network(shape, seed)
    masks = pruning_masks(network, amount, granularity=granularity)
    assert set(masks) == {"1.weight", "3.weight"}
    for name, mask in masks.items():
        weight = network.get_parameter(name)
        scores = _groups(weight, granularity)
        ranked = sorted(scores, key=lambda key: (round(scores[key], 9), key))
        count = min(round(amount * len(ranked)), len(ranked) - 1)
        expected = torch.ones_like(weight, dtype=torch.bool)
        for key in ranked[:count]:
            expected[key] = False
        assert torch.equal(mask, expected)


@given(shapes, st.integers(0, 100), st.floats(0, 0.99), st.sampled_from(["slice", "synapse"]))
@settings(max_examples=40, deadline=None)
def test_global_ranking_removes_the_lowest_within_the_amount(shape, seed, amount, granularity):
    network = _network(shape, seed)
    masks = pruning_masks(network, amount, granularity=granularity, ranking="global")
    removed, kept, total = [], [], 0
    for name, mask in masks.items():
        scores = _groups(network.get_parameter(name), granularity)
        best = max(scores.values())
        layer_kept = [score for key, score in scores.items() if bool(mask[key].all())]
        layer_removed = [score for key, score in scores.items() if not bool(mask[key].any())]
        assert len(layer_kept) + len(layer_removed) == len(scores), "a group goes whole or stays"
        assert max(layer_kept) == best, "the best group of a layer stays"
        layer_kept.remove(best)
        removed += layer_removed
        kept += layer_kept
        total += mask.numel()
    zeros = sum(int((~mask).sum()) for mask in masks.values())
    assert zeros <= round(amount * total)
    if granularity == "synapse" and kept:
        assert zeros == round(amount * total)
    if removed and kept:
        assert max(removed) <= min(kept) + 1e-6


def test_masked_weights_stay_zero_and_the_rest_stays():
    model = tiny_vgg()
    before = copy.deepcopy(model.network.state_dict())
    masks = pruning_masks(model.network, 0.3)
    apply_masks(model.network, masks)
    for name, tensor in model.network.state_dict().items():
        if name in masks:
            assert torch.equal(tensor, before[name] * masks[name])
            assert 0.2 < float((tensor == 0).float().mean()) < 0.4
        else:
            assert torch.equal(tensor, before[name])
    assert torch.isfinite(model(images(2))).all()


def test_the_first_convolution_is_spared():
    assert "features.0.weight" not in pruning_masks(tiny_vgg().network, 0.5)


@pytest.mark.parametrize("amount", [-0.1, 1.0, 1.5, float("nan")])
def test_amounts_outside_their_range_are_refused(amount):
    with pytest.raises(UserError, match="at least 0 and less than 1"):
        pruning_masks(tiny_vgg().network, amount)


def test_nan_weights_are_refused_by_name():
    model = tiny_vgg()
    model.network.classifier[2].weight.data[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"classifier\.2\.weight.*NaN"):
        pruning_masks(model.network, 0.2)


def test_a_network_with_nothing_to_prune_is_refused():
    with pytest.raises(UserError, match="nothing to prune"):
        pruning_masks(nn.Sequential(nn.Conv2d(3, 4, 3)), 0.2)


@pytest.mark.parametrize("option", [{"granularity": "row"}, {"ranking": "both"}])
def test_unknown_options_name_the_known_ones(option):
    with pytest.raises(UserError, match="choose from"):
        pruning_masks(tiny_vgg().network, 0.2, **option)
