"""Attacks within a budget, beside closed forms for linear classifiers and each other."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from squeezed.attacks.apgd import APGDSettings, apgd
from squeezed.attacks.ddn import DDNSettings, ddn
from squeezed.attacks.method import load_method, read_method_settings
from squeezed.attacks.ni_fgsm import NIFGSMSettings, ni_fgsm
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError
from tests.attacks.networks import Linear, Scaled, nearest_in_box, network_and_images

APGD = APGDSettings(norm="l2", budget=0.3, steps=20, near_classes=3)
NI = NIFGSMSettings(budget=0.05, steps=10, momentum=1.0, scales=1)


def linear_and_images() -> tuple[Victim, Tensor, Tensor]:
    weight = torch.randn(2, 48, generator=torch.Generator().manual_seed(0))
    victim = Victim(Linear(weight, -weight @ torch.full((48,), 0.5)), rows=12)
    images = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return victim, images, victim.logits(images).argmax(dim=1)


def nearest(victim: Victim, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """The distance to a linear classifier's boundary within [0, 1], of each image."""
    model: Any = victim.model
    normal = (model.weight[0] - model.weight[1]).double()
    offset = float(model.bias[0] - model.bias[1])
    found = []
    for image, label in zip(images, labels, strict=True):
        sign = 1 if label == 0 else -1
        x = image.flatten().double()
        if norm == "l2":
            found.append(nearest_in_box(x.numpy(), (sign * normal).numpy(), sign * offset))
            continue
        low, high = 0.0, 1.0
        for _ in range(40):  # all pixels as far as the budget and the box let them
            middle = (low + high) / 2
            moved = (x - middle * sign * normal.sign()).clamp(0, 1)
            low, high = (middle, high) if sign * (normal @ moved + offset) > 0 else (low, middle)
        found.append(high)
    return torch.tensor(found)


def lengths(change: Tensor, norm: str) -> Tensor:
    return change.flatten(1).norm(dim=1, p=2 if norm == "l2" else torch.inf)


@pytest.mark.parametrize(("norm", "budget"), [("l2", 0.15), ("linf", 0.05)])
def test_of_a_linear_classifier_it_fools_what_the_budget_allows(norm: Any, budget: float) -> None:
    victim, images, labels = linear_and_images()
    settings = APGDSettings(norm=norm, budget=budget, steps=30, near_classes=1)
    found = apgd(victim, images, labels, settings)
    needed = nearest(victim, images, labels, norm)
    assert 2 <= int((needed < budget).sum()) <= 10  # both happen
    assert not found.success[needed > 1.001 * budget].any()
    # What the box cuts off after the ball leaves a little of an L2 budget unused, as in the paper.
    assert found.success[needed < 0.9 * budget].all()
    moved = lengths(found.best - images, norm)
    assert (moved <= budget + 1e-5).all() and (moved[~found.success] == 0).all()
    assert (victim.logits(found.best).argmax(dim=1) != labels)[found.success].all()


def test_it_fools_what_a_minimum_norm_attack_says_can_be_fooled() -> None:
    victim, images, labels = network_and_images(24)
    minimum = ddn(victim, images, labels, DDNSettings(100, 1.0, 0.05, scale_free=True))
    length = lengths(minimum.best - images, "l2")
    budget = float(length.median())
    settings = replace(APGD, budget=budget)
    found = apgd(victim, images, labels, settings)
    assert found.success[length < 0.98 * budget].float().mean() >= 0.9
    scaled = apgd(Victim(Scaled(victim.original, 100.0)), images, labels, settings)
    assert int((scaled.success != found.success).sum()) <= 1


def test_a_judge_that_never_agrees_leaves_every_image_as_it_is() -> None:
    victim, images, labels = linear_and_images()

    def judge(given: Tensor) -> Tensor:
        rows = len(given) // len(labels) or 1
        return nn.functional.one_hot(labels[: len(given)].repeat(rows), 2).float()

    for method, settings in ((apgd, APGD), (ni_fgsm, NI)):
        found = method(victim, images[:1], labels[:1], settings, judge=judge)
        assert found.attackable.all() and not found.success.any()
        assert torch.equal(found.best, images[:1])


def test_the_momentum_method_stays_within_its_budget_and_nears_the_boundary() -> None:
    victim, images, labels = linear_and_images()
    needed = nearest(victim, images, labels, "linf")
    for settings in (NI, replace(NI, scales=3), replace(NI, momentum=0.0)):
        found = ni_fgsm(victim, images, labels, settings)
        assert lengths(found.last - images, "linf").max() <= settings.budget + 1e-6
        # Each step is a tenth of the budget, and of a linear classifier all go the same way.
        assert found.success[needed < 0.95 * settings.budget].all()
        assert not found.success[needed > 1.001 * settings.budget].any()
        assert torch.equal(found.iterations, torch.full_like(labels, 10 * settings.scales))


def test_targeted_they_reach_their_targets() -> None:
    victim, images, labels = network_and_images(12)
    targets = (labels + 1) % 4
    for method, settings in ((apgd, replace(APGD, budget=2.0)), (ni_fgsm, replace(NI, budget=0.3))):
        found = method(victim, images, labels, settings, targets=targets)
        assert found.success.any()
        predicted = victim.logits(found.best).argmax(dim=1)
        assert torch.equal(predicted[found.success], targets[found.success])


def test_of_no_images_they_find_nothing() -> None:
    victim, images, labels = linear_and_images()
    for method, settings in ((apgd, APGD), (ni_fgsm, NI)):
        assert len(method(victim, images[:0], labels[:0], settings).best) == 0


@pytest.mark.parametrize(
    ("name", "section", "words"),
    [
        ("apgd", {"norm": "l2", "budget": 0.0, "steps": 1, "near_classes": 0}, "budget is 0.0"),
        ("apgd", {"norm": "l2", "budget": 1.0, "steps": 0, "near_classes": 0}, "steps is 0"),
        ("ni_fgsm", {"budget": 0.1, "steps": 1, "momentum": 1.0, "scales": 0}, "scales is 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    name: str, section: dict[str, Any], words: str
) -> None:
    assert load_method(name)
    with pytest.raises(UserError, match=words):
        read_method_settings(name, section)
