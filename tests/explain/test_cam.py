"""Activation maps and their scores, on networks of which the answer is known."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from squeezed.explain.attribution import METHODS, Attributor
from squeezed.explain.cam import (
    Pictures,
    agreement,
    attribution_maps,
    map_scores,
    randomisation_fields,
)
from squeezed.explain.controls import CONTROLS, blurred, control_maps
from squeezed.explain.faithfulness import (
    descending_ranks,
    perturbation_curves,
    rank_correlation,
    share_on_object,
)
from squeezed.explain.layers import map_layer
from squeezed.explain.objects import object_masks
from squeezed.explain.randomisation import cascade
from squeezed.foundation.errors import UserError
from squeezed.networks import VGG6, Classifier
from tests.twins import twin_of

SIZE = 16
PIXEL = (5, 9)


class OnePixel(nn.Module):
    """Says 1 where one pixel is bright and 0 where it is dark; looks at nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.spot = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.ones_(self.spot.weight)
        self.relu = nn.ReLU()
        self.classifier = nn.Linear(SIZE * SIZE, 2, bias=False)
        nn.init.zeros_(self.classifier.weight)
        self.classifier.weight.data[1, PIXEL[0] * SIZE + PIXEL[1]] = 4.0

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.relu(self.spot(images)).flatten(1))


@pytest.fixture(scope="module")
def one_pixel() -> fx.GraphModule:
    return twin_of(Classifier(OnePixel(), [0.0] * 3, [1.0] * 3), (SIZE, SIZE))


@pytest.fixture
def images() -> Tensor:
    pictures = torch.rand(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    pictures[:, :, PIXEL[0], PIXEL[1]] = 1.0
    return pictures


def vgg_network() -> Classifier:
    torch.manual_seed(0)
    network = VGG6(4, (SIZE, SIZE), widths=(4, 4, 6, 6, 8, 8), hidden_features=(12, 10))
    return Classifier(network, [0.5] * 3, [0.25] * 3).eval()


@pytest.fixture(scope="module")
def vgg() -> fx.GraphModule:
    return twin_of(vgg_network(), (SIZE, SIZE))


OPTIONS = {
    "mean_colour": [0.0] * 3,
    "steps": 4,
    "road_shares": [0.5],
    "temperature": 1.0,
    "seed": 0,
}


def ones(n: int) -> Tensor:
    return torch.ones(n, dtype=torch.int64)


@pytest.mark.parametrize("method", METHODS)
def test_a_network_that_looks_at_one_pixel_is_found_out(one_pixel, images, method):
    pictures = Pictures(images, ones(6))
    maps = {method: attribution_maps(one_pixel, pictures, method)}
    highest = maps[method].reshape(6, -1).argmax(axis=1)
    mask = np.zeros((6, SIZE, SIZE), dtype=bool)
    mask[:, PIXEL[0], PIXEL[1]] = True
    scores = map_scores(one_pixel, pictures, maps, mask, **OPTIONS | {"steps": SIZE * SIZE})
    if method == "guided_backprop":
        assert (highest == PIXEL[0] * SIZE + PIXEL[1]).all()
        assert (scores["guided_backprop_share_on_object"] == 1).all()
        # Without its pixel the network knows nothing: the probability is 1/2 from there on.
        np.testing.assert_allclose(scores["guided_backprop_deletion_auc"], 0.5, atol=0.005)
        assert (scores["guided_backprop_deletion_auc"] < scores["random_deletion_auc"]).all()
        assert (scores["guided_backprop_insertion_auc"] > scores["random_insertion_auc"]).all()
        assert (scores["guided_backprop_insertion_net"] > 0).all()
        assert (scores["guided_backprop_deletion_net"] > 0).all()
    else:  # one channel, so that Grad-CAM shows where it is bright: no knowledge of the pixel
        assert scores["grad_cam_share_on_object"].max() < 0.05
    for control in CONTROLS:
        assert scores[f"{control}_share_on_object"].max() < 0.05


def test_deletion_and_insertion_follow_the_pixel_exactly(one_pixel, images):
    # The pixel comes last: deletion keeps the full probability until the last step.
    maps = torch.ones(6, SIZE, SIZE)
    maps[:, PIXEL[0], PIXEL[1]] = 0
    curves = perturbation_curves(
        one_pixel, images, maps, ones(6), mean_colour=[0.0] * 3, steps=SIZE * SIZE, seed=0
    )
    full = torch.sigmoid(torch.tensor(12.0))
    torch.testing.assert_close(curves.deletion[:, :-1], full.expand(6, SIZE * SIZE))
    torch.testing.assert_close(curves.deletion[:, -1], torch.full((6,), 0.5))
    torch.testing.assert_close(curves.insertion[:, -1], full.expand(6))
    assert curves.deletion_auc().min() > 0.99


def test_the_order_of_equal_pixels_is_random_and_the_same_again():
    maps = torch.zeros(2, 4, 4)
    maps[0, 3, 3] = 1
    ranks = descending_ranks(maps, seed=1)
    assert ranks[0, 3, 3] == 0
    assert sorted(ranks[1].flatten().tolist()) == list(range(16))
    assert ranks[1].flatten().tolist() != list(range(16))
    assert torch.equal(ranks, descending_ranks(maps, seed=1))


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        (values,) = ctx.saved_tensors
        return gradient.clamp(min=0) * (values > 0)


class _Guided(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return _GuidedReLU.apply(values)


class Awkward(nn.Module):
    """One in-place ReLU module that runs three times, once beside a shortcut, as in a ResNet."""

    def __init__(self, relu: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = relu
        self.hidden = nn.Linear(4 * 8 * 8, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        first = self.relu(self.first(images))
        second = self.relu(self.second(first) + first)
        return self.last(self.relu(self.hidden(second.flatten(1))))


class _GuidedReLU6(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return _GuidedReLU.apply(values).clamp(max=6)


@pytest.mark.parametrize(
    ("relu", "guided"), [(nn.ReLU(inplace=True), _Guided()), (nn.ReLU6(), _GuidedReLU6())]
)
def test_every_relu_gives_the_gradient_of_the_definition(relu, guided):
    torch.manual_seed(1)
    awkward = Classifier(Awkward(relu), [0.0] * 3, [0.03] * 3).eval()
    twin = twin_of(awkward, (8, 8))
    code = twin.code
    reference = copy.deepcopy(awkward)
    reference.network.relu = guided
    pictures = torch.rand(5, 3, 8, 8)
    targets = torch.tensor([0, 1, 2, 0, 1])
    inputs = pictures.clone().requires_grad_()
    reference(inputs).gather(1, targets[:, None]).sum().backward()
    expected = inputs.grad.clamp(min=0).amax(dim=1)
    found = Attributor(twin, "guided_backprop").maps(pictures, targets)
    assert expected.max() > 0
    torch.testing.assert_close(found, expected)
    assert twin.code == code  # the twin itself is as it was
    assert not any(module._forward_hooks for module in twin.modules())


def test_grad_cam_is_the_definition(vgg, images):
    targets = torch.tensor([0, 1, 2, 3, 0, 1])
    # The ReLU of the sixth convolution, before its pooling.
    assert map_layer(vgg).name == "features.19"
    model = vgg_network()
    trunk, network = model.network.features, model.network
    head = nn.Sequential(trunk[20:], network.flatten, network.classifier)
    activations = trunk[:20](model.normalise(images)).detach().requires_grad_()
    head(activations).gather(1, targets[:, None]).sum().backward()
    weights = activations.grad.mean(dim=(2, 3), keepdim=True)
    coarse = (weights * activations).sum(dim=1, keepdim=True).clamp(min=0).detach()
    expected = nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")[:, 0]
    found = Attributor(vgg, "grad_cam").maps(images, targets)
    assert expected.max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_maps_do_not_depend_on_the_batch(vgg, images):
    targets = torch.tensor([0, 1, 2, 3, 0, 1])
    many = Pictures(images.repeat(20, 1, 1, 1), targets.repeat(20))
    for method in METHODS:
        once = attribution_maps(vgg, Pictures(images, targets), method)
        np.testing.assert_allclose(
            attribution_maps(vgg, many, method)[-6:], once, rtol=1e-4, atol=1e-5
        )


def test_shares_on_the_object():
    maps = torch.zeros(3, 2, 2)
    maps[0] = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    maps[1] = 1.0
    masks = torch.tensor([[True, False], [False, False]]).expand(3, 2, 2)
    shares = share_on_object(maps, masks)
    assert shares[:2].tolist() == [0.25, 0.25]
    assert shares[2].isnan()


def test_rank_correlation_knows_order_alone():
    values = np.random.default_rng(0).random((4, 5, 5))
    np.testing.assert_allclose(rank_correlation(values, np.exp(values)), 1)
    np.testing.assert_allclose(rank_correlation(values, -values), -1)
    assert np.isnan(rank_correlation(values, np.ones_like(values))).all()
    unrelated = np.random.default_rng(1).random((200, 20, 20))
    assert abs(rank_correlation(unrelated, np.roll(unrelated, 1, axis=0)).mean()) < 0.02


def test_agreement_with_itself_is_full_and_beats_every_control(vgg, images):
    pictures = Pictures(images, torch.tensor([0, 1, 2, 3, 0, 1]))
    maps = {"guided_backprop": attribution_maps(vgg, pictures, "guided_backprop")}
    scores = agreement(maps, maps, pictures, seed=0)
    np.testing.assert_allclose(scores["guided_backprop_rank_correlation"], 1)
    for control in CONTROLS:
        assert scores[f"guided_backprop_rank_correlation_{control}"].max() < 0.9


def test_controls_are_what_they_are_called():
    images = torch.zeros(1, 3, 9, 9)
    images[:, :, :, 5:] = 1.0
    edge = control_maps("edge", images, seed=0)[0]
    assert edge[:, 4:6].min() > 0
    assert edge[:, :4].max() == 0
    assert edge[:, 6:].max() == 0
    centre = control_maps("centre", images, seed=0)[0]
    assert centre.argmax() == 4 * 9 + 4
    torch.testing.assert_close(centre, centre.flip(0).flip(1))
    noise = control_maps("random", images, seed=0)
    assert torch.equal(noise, control_maps("random", images, seed=0))
    assert not torch.equal(noise, control_maps("random", images, seed=1))


def test_blurring_keeps_brightness_and_loses_detail():
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    blurry = blurred(images, deviation=3)
    assert blurry.mean().item() == pytest.approx(images.mean().item(), abs=0.02)
    assert blurry.std() < images.std() / 4
    torch.testing.assert_close(blurred(torch.ones(1, 1, 8, 8), 2), torch.ones(1, 1, 8, 8))


def test_the_cascade_reinitialises_from_the_logits_down_and_spares_the_model(vgg):
    before = copy.deepcopy(vgg.state_dict())
    names, changed = [], []
    for name, randomised in cascade(vgg, seed=0):
        names.append(name)
        weight = randomised.get_submodule(name.replace(".", "_")).weight
        original = vgg.get_submodule(name.replace(".", "_")).weight
        assert not torch.equal(weight, original)
        assert torch.equal(weight.flatten().sort().values, original.flatten().sort().values)
        changed.append(sum(not torch.equal(a, b) for a, b in _weights(randomised, vgg)))
    assert names[0] == "classifier.4"
    assert names[-1] == "features.0"
    assert changed == list(range(1, 10))
    assert all(torch.equal(before[key], value) for key, value in vgg.state_dict().items())


def _weights(first: nn.Module, second: nn.Module):
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        if name.endswith("weight") and a.dim() > 1:
            yield a, b


def test_a_map_that_is_the_same_all_over_has_no_score(one_pixel, images):
    maps = np.random.default_rng(0).random((6, SIZE, SIZE)).astype(np.float32)
    maps[2] = 0.5
    # Enlarging leaves rounding behind: that orders no pixels either.
    maps[4] = 0.5 + 1e-7 * np.random.default_rng(1).random((SIZE, SIZE))
    mask = np.zeros((6, SIZE, SIZE), dtype=bool)
    mask[:, 4:8, 4:8] = True
    pictures = Pictures(images, ones(6))
    scores = map_scores(one_pixel, pictures, {"grad_cam": maps}, mask, **OPTIONS)
    scores |= agreement({"grad_cam": maps}, {"grad_cam": maps}, pictures, seed=0)
    ours = {name: values for name, values in scores.items() if name.startswith("grad_cam_")}
    assert {"grad_cam_road", "grad_cam_insertion_net", "grad_cam_share_on_object"} <= ours.keys()
    for name, values in ours.items():
        assert np.isnan(values).tolist() == [False, False, True, False, True, False], name


def test_net_scores_are_over_the_random_map_of_the_same_network(vgg, images):
    pictures = Pictures(images, torch.tensor([0, 1, 2, 3, 0, 1]))
    maps = {"grad_cam": attribution_maps(vgg, pictures, "grad_cam")}
    maps["grad_cam"] += np.float32(0.01) * control_maps("centre", images, seed=0).numpy()
    noise = control_maps("random", images, seed=0).numpy()
    scores = map_scores(vgg, pictures, maps | {"noise": noise}, None, **OPTIONS)
    for source in ("grad_cam", "centre", "edge"):
        for area, sign in (("insertion", 1), ("deletion", -1)):
            above = scores[f"{source}_{area}_auc"] - scores[f"random_{area}_auc"]
            np.testing.assert_allclose(scores[f"{source}_{area}_net"], sign * above)
    # The random map itself is worth nothing.
    assert not scores["noise_insertion_net"].any() and not scores["noise_deletion_net"].any()


def test_objects(tmp_path):
    pictures = np.zeros((2, 3, 8, 8), dtype=np.float32)
    pictures[0, :, 2:4, 2:4] = 0.8
    pictures[1] = 0.2
    pictures[1, :, 7, 7] = 1
    indices = np.array([1, 4])
    options = {"images": pictures, "indices": indices, "test_images": 6}
    assert object_masks("none", **options) is None
    ink = object_masks("ink", **options)
    assert ink.sum(axis=(1, 2)).tolist() == [4, 1]
    centre = object_masks("centre", **options)
    assert centre[0].all(axis=0).tolist() == [False] * 2 + [True] * 4 + [False] * 2
    masks = np.zeros((6, 8, 8), dtype=np.uint8)
    masks[4, 0, 0] = 255
    np.save(tmp_path / "masks.npy", masks)
    own = object_masks("masks", **options, masks_path=tmp_path / "masks.npy")
    assert own.sum(axis=(1, 2)).tolist() == [0, 1]
    np.save(tmp_path / "few.npy", masks[:3])
    for path, message in (
        (None, "names no file"),
        (tmp_path / "no.npy", "not a readable"),
        (tmp_path / "few.npy", r"shape \(3, 8, 8\).*\(6, 8, 8\)"),
    ):
        with pytest.raises(UserError, match=message):
            object_masks("masks", **options, masks_path=path)


def test_a_test_of_few_maps_has_no_interval():
    """Of twelve re-initialised maps all but some may be the same all over."""
    maps = {"grad_cam": np.random.default_rng(0).random((12, SIZE, SIZE)).astype(np.float32)}
    for left in (0, 1, 4, 5, 12):
        correlations = np.where(np.arange(12) < left, 0.6, np.nan)
        correlations += np.linspace(0, 0.1, 12)
        found = randomisation_fields({"grad_cam": [("first", correlations)]}, maps, seed=0)
        assert found["grad_cam_randomisation_excess_images"] == left
        assert (found["grad_cam_randomisation_excess"] is None) == (left == 0)
        assert (found["grad_cam_randomisation_excess_low"] is None) == (left < 5)
        assert (found["grad_cam_randomised_rank_correlation_high"] is None) == (left < 5)
