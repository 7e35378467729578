"""The DDN attack against a closed form, and the properties that every method has."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from squeezed.attacks.ddn import DDNSettings, ddn
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError
from tests.attacks.networks import (
    SHAPE,
    Detached,
    Linear,
    nearest_in_box,
    network_and_images,
    small_twin,
)

SETTINGS = DDNSettings(steps=100, init_epsilon=1.0, gamma=0.05)


def distances(adversarial: Tensor, images: Tensor) -> Tensor:
    return (adversarial - images).flatten(1).norm(dim=1)


@pytest.mark.parametrize("seed", range(4))
def test_distance_is_minimal_for_linear_models(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(2, 48, generator=generator), torch.randn(2, generator=generator)
    images = torch.rand(24, *SHAPE, generator=generator)
    victim = Victim(Linear(weight, bias))
    labels = victim.logits(images).argmax(dim=1)
    result = ddn(victim, images, labels, DDNSettings(steps=400, init_epsilon=1.0, gamma=0.02))
    found = distances(result.best, images).tolist()
    weight, bias = weight.double().numpy(), bias.double().numpy()
    for i, label in enumerate(labels.tolist()):
        normal, offset = weight[label] - weight[1 - label], bias[label] - bias[1 - label]
        least = nearest_in_box(images[i].flatten().double().numpy(), normal, float(offset))
        assert bool(result.success[i]) == np.isfinite(least)
        if result.success[i]:  # the radius is met to within a step of γ
            assert least - 1e-4 <= found[i] <= 1.03 * least + 1e-3


def test_result_does_not_depend_on_batch_or_order() -> None:
    victim, images, labels = network_and_images(140)
    settings = DDNSettings(steps=20, init_epsilon=0.5, gamma=0.05)
    whole = ddn(victim, images, labels, settings)
    order = torch.randperm(140, generator=torch.Generator().manual_seed(1))
    shuffled = ddn(victim, images[order], labels[order], settings)
    single = ddn(victim, images[66:67], labels[66:67], settings)
    assert whole.success.any()
    for name in ("success", "best", "last", "iterations"):
        assert torch.equal(getattr(shuffled, name), getattr(whole, name)[order]), name
        assert torch.equal(getattr(single, name)[0], getattr(whole, name)[66]), name


@pytest.mark.parametrize("targeted", [False, True])
def test_returned_images_fool_and_stay_in_the_range(targeted: bool) -> None:
    victim, images, labels = network_and_images(30)
    targets = (labels + 1) % 4 if targeted else None
    result = ddn(victim, images, labels, SETTINGS, targets=targets)
    predicted = victim.logits(result.best).argmax(dim=1)
    assert result.success.all()
    assert torch.equal(predicted, targets) if targeted else (predicted != labels).all()
    assert ((result.best >= 0) & (result.best <= 1)).all()
    assert (result.iterations == SETTINGS.steps).all()


def test_a_sure_network_is_fooled_from_as_near() -> None:
    """Logits × 1000: the cross entropy has no gradient left, but its direction is known."""

    class Sure(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = small_twin()

        def forward(self, images: Tensor) -> Tensor:
            return 1000 * self.network(images)

    victim, images, labels = network_and_images(20)
    plain = ddn(victim, images, labels, SETTINGS)
    sure = ddn(Victim(Sure()), images, labels, SETTINGS)
    assert sure.success.all()
    ratio = distances(sure.best, images) / distances(plain.best, images)
    assert float(ratio.median()) <= 1.05


def test_bfloat16_is_judged_in_float32() -> None:
    _, images, labels = network_and_images(20)
    victim = Victim(small_twin(), precision="bf16")
    result = ddn(victim, images, labels, SETTINGS)
    assert result.success.all()
    assert (victim.logits(result.best).argmax(dim=1) != labels).all()


def test_the_judge_decides_what_fools() -> None:
    victim, images, labels = network_and_images(10)

    def judge(given: Tensor) -> Tensor:  # nobody fools it with more than a small change
        sure = torch.nn.functional.one_hot(labels[: len(given)], 4).float()
        return sure if len(given) == 10 else victim.logits(given)

    result = ddn(victim, images, labels, SETTINGS, judge=judge)
    assert not result.success.any()
    assert torch.equal(result.best, images)


def test_without_a_gradient_nothing_moves_at_all() -> None:
    images = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = images.flatten(1)[:, :3].argmax(dim=1)
    result = ddn(Victim(Detached()), images, labels, SETTINGS)
    assert not result.success.any()
    assert torch.equal(result.last, images)


def test_images_that_are_wrong_already_are_left_alone() -> None:
    victim, images, labels = network_and_images(6)
    wrong = (labels + 1) % 4
    result = ddn(victim, images, wrong, SETTINGS)
    assert not result.attackable.any() and not result.success.any()
    assert torch.equal(result.best, images) and torch.equal(result.last, images)
    assert not result.iterations.any()
    assert len(ddn(victim, images[:0], labels[:0], SETTINGS).best) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps is 0; it must be ≥ 1"),
        ({"init_epsilon": 0.0}, "init_epsilon is 0.0; it must be > 0"),
        ({"gamma": 1.0}, "gamma is 1.0; it must be between 0 and 1"),
    ],
)
def test_refuses_settings_that_mean_nothing(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DDNSettings(**{"steps": 10, "init_epsilon": 1.0, "gamma": 0.05, **wrong})
