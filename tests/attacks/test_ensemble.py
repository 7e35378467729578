"""The ensemble and the line search, beside closed forms and their own members."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from squeezed.attacks.attacked import Judge
from squeezed.attacks.carlini_wagner import carlini_wagner
from squeezed.attacks.ddn import DDNSettings, ddn
from squeezed.attacks.diagnostics import share_without_gradient
from squeezed.attacks.ensemble import EnsembleSettings, ensemble
from squeezed.attacks.line_search import FARTHEST, nearest_on_line, transferred
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError
from tests.attacks.networks import Linear, nearest_in_box, network_and_images, protocol, small_twin

SETTINGS = EnsembleSettings(
    ddn=DDNSettings(steps=60, init_epsilon=1.0, gamma=0.05, scale_free=True),
    carlini_wagner=protocol(
        iterations=30, learning_rate=0.05, search_steps=3, abort_early=True, scale_free=True
    ),
)


class Scaled(nn.Module):
    """A network with multiplied logits."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * self.network(images)


def lengths(images: Tensor, adversarial: Tensor) -> Tensor:
    return (adversarial - images).flatten(1).norm(dim=1)


def test_it_finds_the_boundary_of_a_linear_classifier() -> None:
    weight = torch.randn(2, 48, generator=torch.Generator().manual_seed(0))
    bias = -weight @ torch.full((48,), 0.5)
    victim = Victim(Linear(weight, bias))
    images = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = victim.logits(images).argmax(dim=1)
    found = ensemble(victim, images, labels, SETTINGS)
    assert found.success.all()
    for image, label, length in zip(images, labels, lengths(images, found.best), strict=True):
        sign = 1 if label == 0 else -1
        normal = sign * (weight[0] - weight[1]).double().numpy()
        offset = sign * float(bias[0] - bias[1])
        nearest = nearest_in_box(image.flatten().double().numpy(), normal, offset)
        assert nearest - 1e-4 <= length <= 1.01 * nearest + 1e-4


def test_it_keeps_the_nearer_of_its_members_images() -> None:
    victim, images, labels = network_and_images(16)
    found = ensemble(victim, images, labels, SETTINGS)
    alone = {
        "ddn": ddn(victim, images, labels, SETTINGS.ddn),
        "carlini_wagner": carlini_wagner(victim, images, labels, SETTINGS.carlini_wagner),
    }
    for name, one in alone.items():
        column = found.details[f"l2_{name}"]
        expected = torch.where(one.success, lengths(images, one.best).double(), torch.nan)
        torch.testing.assert_close(column, expected, equal_nan=True, rtol=1e-5, atol=1e-6)
        assert (lengths(images, found.best)[one.success] <= column[one.success] + 1e-5).all()
    assert torch.equal(found.success, alone["ddn"].success | alone["carlini_wagner"].success)
    assert torch.equal(found.iterations, sum(one.iterations for one in alone.values()))
    assert (victim.logits(found.best).argmax(dim=1) != labels)[found.success].all()


@pytest.mark.parametrize("factor", [10.0, 0.1, 1e-10, 1e10])
def test_the_scale_of_the_logits_changes_nothing(factor: float) -> None:
    """C = 1 on logits × 10 found changes 1.3 times as long before."""
    victim, images, labels = network_and_images(16)
    scaled = Victim(Scaled(small_twin(), factor))
    expected = ensemble(victim, images, labels, SETTINGS)
    found = ensemble(scaled, images, labels, SETTINGS)
    for name, column in expected.details.items():
        torch.testing.assert_close(found.details[name].median(), column.median(), rtol=0.02, atol=0)
    torch.testing.assert_close(
        lengths(images, found.best), lengths(images, expected.best), rtol=0.05, atol=1e-3
    )


def test_a_targeted_ensemble_reaches_its_targets() -> None:
    victim, images, labels = network_and_images(8)
    targets = (labels + 1) % 4
    found = ensemble(victim, images, labels, SETTINGS, targets=targets)
    assert found.success.any()
    predicted = victim.logits(found.best).argmax(dim=1)
    assert torch.equal(predicted[found.success], targets[found.success])


def test_of_no_images_it_finds_nothing() -> None:
    victim, images, labels = network_and_images(1)
    found = ensemble(victim, images[:0], labels[:0], SETTINGS)
    assert len(found.best) == 0


def test_a_judge_that_never_agrees_leaves_every_image_as_it_is() -> None:
    victim, images, labels = network_and_images(1)

    def judge(given: Tensor) -> Tensor:
        return nn.functional.one_hot(labels.expand(len(given)), 4).float()

    found = ensemble(victim, images, labels, SETTINGS, judge=judge)
    assert found.attackable.all() and not found.success.any()
    assert torch.equal(found.best, images)
    assert found.details["l2_ddn"].isnan().all()


def test_of_two_identical_logits_nothing_is_found_and_the_gate_says_why() -> None:
    """Classes 1 and 2 are twins: their margin is zero, and so is its gradient."""
    weight = torch.zeros(3, 48)
    weight[1] = weight[2] = torch.linspace(0.5, 1, 48)
    victim = Victim(Linear(weight, torch.tensor([12.0, 0.0, 0.0])))
    images = torch.full((2, 3, 4, 4), 0.6)
    labels = victim.logits(images).argmax(dim=1)
    assert labels.tolist() == [1, 1]
    found = ensemble(victim, images, labels, SETTINGS)
    assert found.attackable.all() and not found.success.any()
    assert torch.equal(found.best, images)
    assert share_without_gradient(victim, images, labels) == 1


def test_targets_without_images_are_refused() -> None:
    victim, images, labels = network_and_images(2)
    targets = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(UserError, match="one target for each image"):
        ensemble(victim, images, labels, SETTINGS, targets=targets)


def test_twice_the_steps_are_twice_the_steps() -> None:
    doubled = SETTINGS.doubled()
    assert doubled.ddn == replace(SETTINGS.ddn, steps=120)
    assert doubled.carlini_wagner == replace(SETTINGS.carlini_wagner, iterations=60)


# --- the line search ---


def edge_at(value: float) -> Judge:
    """A judge that takes an image for class 1 from this value of its one pixel on."""

    def judge(given: Tensor) -> Tensor:
        pixel = given.flatten(1)
        return torch.cat([torch.full_like(pixel, value), pixel], dim=1)

    return judge


@pytest.mark.parametrize("edge", [0.301, 0.45, 0.62])
def test_a_line_is_shortened_to_where_it_crosses(edge: float) -> None:
    images, far = torch.full((1, 1, 1, 1), 0.3), torch.full((1, 1, 1, 1), 0.7)
    goal = Margin(torch.zeros(1, dtype=torch.int64))
    found = nearest_on_line(edge_at(edge), goal, images, far)
    assert edge < float(found) <= edge + 0.4 / 1000


def test_what_fools_another_is_brought_to_this_ones_boundary() -> None:
    images = torch.tensor([0.1, 0.1, 0.1]).view(3, 1, 1, 1)
    theirs = torch.tensor([0.6, 0.25, 0.15]).view(3, 1, 1, 1)  # ×1, ×4, and ×8: too far
    fooled, found = transferred(
        edge_at(0.5), Margin(torch.zeros(3, dtype=torch.int64)), images, theirs
    )
    assert FARTHEST == 4
    assert fooled.tolist() == [True, True, False]
    assert found.flatten().tolist() == [pytest.approx(0.5, abs=1e-3)] * 2 + [pytest.approx(0.1)]
