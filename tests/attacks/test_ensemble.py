"""The ensemble and the line search, beside closed forms and their own members."""

import functools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from squeezed.attacks.attacked import Attacked, Judge
from squeezed.attacks.carlini_wagner import carlini_wagner
from squeezed.attacks.ddn import DDNSettings, ddn
from squeezed.attacks.diagnostics import share_without_gradient
from squeezed.attacks.ensemble import EnsembleSettings, ensemble
from squeezed.attacks.line_search import FARTHEST, nearest_on_line, transferred
from squeezed.attacks.objective import Margin
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError
from tests.attacks.networks import (
    Linear,
    Scaled,
    nearest_in_box,
    network_and_images,
    protocol,
    small_twin,
)

DDN = DDNSettings(steps=50, init_epsilon=1.0, gamma=0.05, scale_free=True)
SETTINGS = EnsembleSettings(
    ddn=DDN,
    near_classes=2,
    smoothed=replace(DDN, steps=10, noise_draws=2),
    carlini_wagner=protocol(
        iterations=20, learning_rate=0.1, search_steps=2, abort_early=True, scale_free=True
    ),
    transferred=True,
    refining_steps=20,
)


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
    found = of_sixteen()
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
    nearest = torch.stack(list(found.details.values())).nan_to_num(torch.inf).amin(dim=0)
    assert (lengths(images, found.best)[found.success] <= nearest[found.success] + 1e-5).all()
    assert (victim.logits(found.best).argmax(dim=1) != labels)[found.success].all()


def test_runs_toward_near_classes_and_refining_find_nearer_images() -> None:
    """One run goes toward one class; nearer ones were left out on three images in ten of digits."""
    victim, images, labels = network_and_images(24)
    alone = ddn(victim, images, labels, DDN)
    found = ensemble(victim, images, labels, SETTINGS)
    each = [
        ddn(victim, images[labels != k], labels[labels != k], replace(DDN, steps=300), targets=t)
        for k in range(4)
        for t in [torch.full((int((labels != k).sum()),), k)]
    ]
    best = torch.full((24,), torch.inf)
    for k, one in enumerate(each):
        rows = (labels != k).nonzero()[:, 0][one.success]
        length = lengths(images[rows], one.best[one.success])
        best[rows] = torch.minimum(best[rows], length)
    assert (lengths(images, found.best) <= 1.03 * best).float().mean() >= 0.9
    assert lengths(images, found.best).mean() < 0.999 * lengths(images, alone.best).mean()


def test_what_fools_another_model_is_a_member_and_refined_from_there() -> None:
    """8-bit networks of the zoo were called unreliable: the baseline's images were nearer."""
    victim, images, labels = network_and_images(12)
    theirs = ensemble(victim, images, labels, SETTINGS)
    lost = replace(
        SETTINGS,
        ddn=replace(DDN, steps=1),
        smoothed=replace(DDN, steps=1),
        carlini_wagner=replace(SETTINGS.carlini_wagner, iterations=1, search_steps=1),
        near_classes=0,
        refining_steps=20,
    )
    further = images + 1.5 * (theirs.best - images)
    found = ensemble(victim, images, labels, lost, starts=further.clamp(0, 1))
    assert found.success.all() and bool(found.details["l2_transferred"].isfinite().all())
    assert (lengths(images, found.best) <= 1.02 * lengths(images, theirs.best)).all()
    without = ensemble(victim, images, labels, replace(lost, transferred=False), starts=further)
    assert "l2_transferred" not in without.details
    assert lengths(images, without.best).mean() > lengths(images, found.best).mean()
    nothing = ensemble(victim, images, labels, lost, starts=images)  # nothing fools the other
    assert bool(nothing.details["l2_transferred"].isnan().all())


def test_what_is_attacked_beside_an_image_changes_nothing() -> None:
    """The noise is the same for all."""
    victim, images, labels = network_and_images(70)
    starts = (images + 0.1).clamp(0, 1)
    together = ensemble(victim, images, labels, SETTINGS, starts=starts)
    part = slice(60, 70)
    alone = ensemble(victim, images[part], labels[part], SETTINGS, starts=starts[part])
    assert torch.equal(together.best[part], alone.best)


@functools.cache
def of_sixteen() -> Attacked:
    return ensemble(*network_and_images(16), SETTINGS)


@pytest.mark.parametrize("factor", [10.0, 1e-10, 1e10])
def test_the_scale_of_the_logits_changes_nothing(factor: float) -> None:
    """C = 1 on logits × 10 found changes 1.3 times as long before."""
    _, images, labels = network_and_images(16)
    scaled = Victim(Scaled(small_twin(), factor))
    expected = of_sixteen()
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
    for targets in (None, labels[:0]):
        found = ensemble(
            victim, images[:0], labels[:0], SETTINGS, targets=targets, starts=images[:0]
        )
        assert len(found.best) == 0


def test_a_judge_that_never_agrees_leaves_every_image_as_it_is() -> None:
    victim, images, labels = network_and_images(1)

    def judge(given: Tensor) -> Tensor:
        return nn.functional.one_hot(labels.expand(len(given)), 4).float()

    found = ensemble(victim, images, labels, SETTINGS, judge=judge)
    assert found.attackable.all() and not found.success.any()
    assert torch.equal(found.best, images)
    assert found.details["l2_ddn"].isnan().all()


def test_two_identical_logits_are_seen_past_and_the_gate_says_that_no_gradient_is_there() -> None:
    """Classes 1 and 2 are twins: their margin is zero, and so is its gradient."""
    weight = torch.zeros(3, 48)
    weight[1] = weight[2] = torch.linspace(0.5, 1, 48)
    victim = Victim(Linear(weight, torch.tensor([12.0, 0.0, 0.0])))
    images = torch.full((2, 3, 4, 4), 0.6)
    labels = victim.logits(images).argmax(dim=1)
    assert labels.tolist() == [1, 1]
    alone = ddn(victim, images, labels, DDN)
    assert not alone.success.any() and torch.equal(alone.best, images)
    found = ensemble(victim, images, labels, SETTINGS)  # its runs toward near classes find class 0
    nearest = nearest_in_box(images[0].flatten().double().numpy(), weight[1].double().numpy(), -12)
    assert lengths(images, found.best).tolist() == [pytest.approx(nearest, rel=0.01)] * 2
    assert share_without_gradient(victim, images, labels) == 1


def test_targets_without_images_are_refused() -> None:
    victim, images, labels = network_and_images(2)
    targets = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(UserError, match="one target for each image"):
        ensemble(victim, images, labels, SETTINGS, targets=targets)


def test_twice_the_steps_are_twice_the_steps() -> None:
    doubled = SETTINGS.doubled()
    assert doubled.ddn == replace(SETTINGS.ddn, steps=100)
    assert doubled.carlini_wagner == replace(SETTINGS.carlini_wagner, iterations=40)
    assert doubled.smoothed == replace(SETTINGS.smoothed, steps=20)
    assert doubled.refining_steps == 40


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
