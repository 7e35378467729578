"""Algorithm 1, corrected: closed forms, both schemes' reference engines, and their gradients."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from squeezed.steps.pruning import apply_masks, pruning_masks
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.networks.network_file import ModelCard, load_model, save_model
from squeezed.networks.quantized import (
    DynamicQuantizedLinear,
    QuantizedConv2d,
    QuantizedLayer,
    QuantizedLinear,
    gradient_of_rounding,
)
from squeezed.steps.quantization import (
    dequantize_weight,
    input_ranges,
    quantize_linear_layers,
    quantize_model,
    quantize_weight,
    scale_and_zero_point,
)
from tests.steps.networks import CLASSES, MEAN, SIZE, STD, images, tiny_vgg

tensors = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=6),
    elements=st.floats(-1000, 1000, width=32),
).filter(lambda values: np.ptp(values) > 1e-3)


@given(tensors)
@settings(deadline=None)
def test_weights_follow_the_formula(values):
    quantized, scale, zero_point = quantize_weight(torch.from_numpy(values))
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    sigma = np.float32((high - low) / 255)
    mu = np.clip(np.rint(-low / float(sigma)), 0, 255)
    assert float(scale) == sigma
    assert int(zero_point) == mu
    for index, value in np.ndenumerate(values):
        expected = np.clip(np.rint(value / sigma) + mu, 0, 255)
        assert int(quantized[index]) == expected


@given(tensors)
@settings(deadline=None)
def test_round_trip_errs_by_half_a_step_and_keeps_zero(values):
    values[np.unravel_index(0, values.shape)] = 0
    if np.ptp(values) <= 1e-3:
        return
    quantized, scale, zero_point = quantize_weight(torch.from_numpy(values))
    back = dequantize_weight(quantized, scale, zero_point).numpy()
    assert np.abs(back - values).max() <= float(scale) * 0.5 * (1 + 1e-4)
    assert (back[values == 0] == 0).all()


@given(tensors)
@settings(deadline=None)
def test_a_centred_range_has_zero_in_its_middle(values):
    quantized, scale, zero_point = quantize_weight(torch.from_numpy(values), centred=True)
    assert int(zero_point) == 128
    assert float(scale) == pytest.approx(np.abs(values).max() / 127, rel=1e-5)
    back = dequantize_weight(quantized, scale, zero_point).numpy()
    assert np.abs(back - values).max() <= float(scale) * 0.5 * (1 + 1e-4)


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 255.0, 1.0, 0),
        (-255.0, 0.0, 1.0, 255),
        (-1.0, 254.0, 1.0, 1),
        (51.0, 255.0, 1.0, 0),  # zero is inside the range, always
        (-510.0, -1.0, 2.0, 255),
    ],
)
def test_scale_and_zero_point_of_known_ranges(low, high, scale, zero_point):
    assert scale_and_zero_point(low, high) == (scale, zero_point)


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0])
def test_a_constant_tensor_is_refused(value):
    with pytest.raises(UserError, match="span no range"):
        quantize_weight(torch.full((3, 2), value))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_layer(value):
    model = tiny_vgg()
    model.network.classifier[0].weight.data[0, 0] = value
    with pytest.raises(UserError, match=r"classifier\.0"):
        quantize_model(model, [images(4)])
    with pytest.raises(UserError, match=r"classifier\.0"):
        quantize_linear_layers(model)


def test_a_dead_input_is_refused_by_layer():
    model = tiny_vgg()
    last_batch_norm = [m for m in model.network.modules() if isinstance(m, nn.BatchNorm2d)][-1]
    last_batch_norm.bias.data.fill_(-1000)
    with pytest.raises(UserError, match=r"the input of layer classifier\.0"):
        quantize_model(model, [images(4)])


def test_ranges_are_the_extremes_over_all_batches():
    model = tiny_vgg()
    both = torch.cat([images(3, seed=1), images(3, seed=2)])
    names = ["features.3", "classifier.2"]
    seen = {}
    for name in names:
        model.network.get_submodule(name).register_forward_pre_hook(
            lambda module, inputs, name=name: seen.__setitem__(name, inputs[0].detach())
        )
    ranges = input_ranges(model, names, [both[:3], both[3:]])
    model(both)
    for name in names:
        expected = (float(seen[name].min()), float(seen[name].max()))
        assert ranges[name] == pytest.approx(expected, abs=1e-6)


def test_all_layers_hold_integers_and_compute_what_they_stand_for():
    """Every layer against plain arithmetic on its integers, in float64."""
    model, _ = quantize_model(tiny_vgg(), [images(16)])
    layers = [m for m in model.network.modules() if isinstance(m, QuantizedLayer)]
    assert [type(layer) for layer in layers] == [QuantizedConv2d] * 4 + [QuantizedLinear] * 3
    linear = layers[-1]
    values = torch.rand(5, linear.in_features) * 3 - 1
    step, zero = linear.input_scale.double(), int(linear.input_zero_point)
    q = (torch.round(values.double() / step) + zero).clamp(0, 255)
    weight = linear.quantized_weight.double() - int(linear.weight_zero_point)
    sums = (q - zero) @ weight.T + linear.quantized_bias.double()
    expected = sums * step * linear.weight_scale.double()
    assert torch.allclose(linear(values).double(), expected, atol=1e-4)


def test_biases_are_whole_multiples_of_both_scales():
    original = tiny_vgg()
    model, _ = quantize_model(original, [images(16)])
    layer, before = model.network.classifier[0], original.network.classifier[0]
    step = float(layer.input_scale) * float(layer.weight_scale)
    assert layer.quantized_bias.dtype == torch.int32
    assert torch.allclose(layer.bias, before.bias, atol=step / 2 * (1 + 1e-4))
    assert torch.equal(layer.bias, (layer.quantized_bias.double() * layer.bias_scale).float())


def test_the_given_model_is_left_alone():
    model = tiny_vgg()
    before = copy.deepcopy(model.network.state_dict())
    quantize_model(model, [images(4)])
    quantize_linear_layers(model)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_pruned_weights_stay_exactly_zero():
    model = tiny_vgg()
    masks = pruning_masks(model.network, 0.4)
    apply_masks(model.network, masks)
    quantized, _ = quantize_model(model, [images(8)])
    for name, mask in masks.items():
        layer = quantized.network.get_submodule(name.removesuffix(".weight"))
        assert (layer.weight[~mask] == 0).all()
        assert (layer.quantized_weight[~mask] == layer.weight_zero_point).all()


@pytest.mark.parametrize("scheme", ["static", "dynamic"])
def test_logits_stay_close_and_files_round_trip(scheme, tmp_path):
    model = tiny_vgg()
    batch = images(32)
    if scheme == "static":
        quantized, description = quantize_model(model, [batch])
    else:
        quantized, description = quantize_linear_layers(model)
    logits = quantized(batch).detach()
    expected = model(batch).detach()
    assert float((logits - expected).abs().max()) < 0.05 * float(expected.max() - expected.min())
    assert not torch.equal(logits, expected)
    card = ModelCard(
        "vgg6",
        {"widths": [4, 6, 6, 8], "hidden_features": [12, 10]},
        SIZE,
        [str(k) for k in range(CLASSES)],
        MEAN,
        STD,
        scheme,
        0,
        quantization=description,
    )
    save_model(tmp_path / "model.safetensors", quantized, card)
    loaded, loaded_card = load_model(tmp_path / "model.safetensors")
    assert loaded_card == card
    assert torch.equal(loaded(batch), logits)
    save_model(tmp_path / "again.safetensors", loaded, card)
    first = (tmp_path / "model.safetensors").read_bytes()
    assert first == (tmp_path / "again.safetensors").read_bytes()


def test_the_dynamic_scheme_leaves_convolutions_and_their_batch_norms_alone():
    model = tiny_vgg()
    quantized, description = quantize_linear_layers(model)
    assert description["folded"] == []
    assert description["layers"] == ["classifier.0", "classifier.2", "classifier.4"]
    state = quantized.network.state_dict()
    for name, tensor in model.network.state_dict().items():
        if name.startswith("features"):
            assert torch.equal(state[name], tensor)


@given(
    hnp.arrays(np.float32, (3, 7), elements=st.floats(-50, 50, width=32)),
    st.integers(0, 10),
)
@settings(deadline=None, max_examples=30)
def test_dynamic_ranges_are_those_of_the_batch(values, seed):
    """Against ONNX's definition of DynamicQuantizeLinear, in numpy."""
    torch.manual_seed(seed)
    original = nn.Linear(7, 4)
    layer = DynamicQuantizedLinear(original)
    layer.quantized_weight, layer.weight_scale, layer.weight_zero_point = quantize_weight(
        original.weight
    )
    layer.bias = original.bias.detach()
    layer.dequantize()
    low, high = min(values.min(), 0), max(values.max(), 0)
    scale = np.float32((high - low) / 255) if high > low else np.float32(1)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    q = np.clip(np.rint(values / scale) + zero, 0, 255)
    expected = (q - zero) * scale @ layer.weight.numpy().T + original.bias.detach().numpy()
    # A value on the border between two steps may fall to either side.
    borders = np.abs(values / scale - np.floor(values / scale) - 0.5) < 1e-3
    if not borders.any():
        assert np.allclose(layer(torch.from_numpy(values)).numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("scheme", ["static", "dynamic"])
def test_gradients_pass_straight_through_or_not_at_all(scheme):
    model = tiny_vgg()
    batch = images(8).requires_grad_(True)
    if scheme == "static":
        quantized, _ = quantize_model(model, [images(64)])
    else:
        quantized, _ = quantize_linear_layers(model)

    def gradient(classifier):
        (found,) = torch.autograd.grad(classifier(batch).logsumexp(1).sum(), batch)
        return found

    true, estimate = gradient(model), gradient(quantized)
    similarity = torch.nn.functional.cosine_similarity(true.flatten(1), estimate.flatten(1))
    assert similarity.min() > 0.8
    with gradient_of_rounding(quantized):
        inside = quantized(batch)
        assert torch.equal(gradient(quantized), torch.zeros_like(batch))
    assert torch.equal(inside, quantized(batch))
    assert torch.equal(gradient(quantized), estimate)


def test_gradients_are_zero_outside_the_range():
    layer, _ = quantize_model(tiny_vgg(), [images(8)])
    linear = layer.network.classifier[0]
    top = float(linear.input_scale) * (255 - int(linear.input_zero_point))
    values = torch.full((1, linear.in_features), 0.5 * top)
    values[0, 0] = top * 2
    values.requires_grad_(True)
    (gradient,) = torch.autograd.grad(linear(values).sum(), values)
    assert gradient[0, 0] == 0
    assert (gradient[0, 1:] != 0).any()
