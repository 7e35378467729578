"""The Carlini-Wagner attack against closed forms, a plain version of itself, and bad input."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from squeezed.attacks.carlini_wagner import (
    BETA1,
    BETA2,
    EPSILON,
    CarliniWagnerSettings,
    carlini_wagner,
)
from squeezed.attacks.rows import from_tanh_space, to_tanh_space
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError
from tests.attacks.networks import (
    SHAPE,
    Detached,
    Linear,
    nearest_in_box,
    network_and_images,
    protocol,
    small_network,
    small_twin,
)

STRONG = protocol(iterations=300, learning_rate=0.05, search_steps=6, abort_early=True)
QUICK = protocol(iterations=80, learning_rate=0.05, search_steps=4, abort_early=True)


# --- the change of variables ---


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50))
def test_tanh_space_holds_every_pixel_to_a_millionth(pixels: list[float]) -> None:
    images = torch.tensor(pixels)
    w = to_tanh_space(images)
    assert torch.isfinite(w).all()
    assert (from_tanh_space(w) - images).abs().max() < 1e-6
    assert torch.allclose(from_tanh_space(w), (torch.tanh(w) + 1) / 2, atol=1e-7)


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("change", [0.05, 0.5, 0.998])
def test_pixel_at_the_end_of_the_range_reaches_any_value(start: float, change: float) -> None:
    # One pixel alone decides, at `boundary`; all are at exactly 0 or 1.
    boundary = abs(start - change)
    sign = 1.0 if start == 0 else -1.0
    weight = torch.zeros(2, 48)
    weight[1, 7] = sign * 5
    model = Linear(weight, torch.tensor([0.0, -sign * 5 * boundary]))
    images = torch.full((1, *SHAPE), start)
    strong = protocol(iterations=400, learning_rate=0.05, search_steps=6, abort_early=True)
    result = carlini_wagner(Victim(model), images, torch.tensor([0]), strong)
    assert result.success.all()
    reached = float(result.best.flatten()[7])
    assert reached == pytest.approx(boundary, abs=0.01)
    others = torch.cat([result.best.flatten()[:7], result.best.flatten()[8:]])
    assert (others - start).abs().max() < 1e-3


# --- closed form ---


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), extreme_pixels=st.booleans(), classes=st.integers(2, 4))
def test_distance_is_minimal_for_linear_models(
    seed: int, extreme_pixels: bool, classes: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, 48, generator=generator)
    images = torch.rand(24, *SHAPE, generator=generator)
    if extreme_pixels:
        images = images.round()
    model = Linear(weight, torch.randn(classes, generator=generator))
    victim = Victim(model)
    labels = victim.logits(images).argmax(dim=1)
    result = carlini_wagner(victim, images, labels, STRONG)
    weight, bias = weight.double().numpy(), model.bias.detach().double().numpy()
    new_labels = victim.logits(result.best).argmax(dim=1).tolist()
    for i, (label, new) in enumerate(zip(labels.tolist(), new_labels, strict=True)):
        x = images[i].flatten().double().numpy()
        distances = {
            other: nearest_in_box(x, weight[label] - weight[other], bias[label] - bias[other])
            for other in range(classes)
            if other != label
        }
        found = float((result.best[i] - images[i]).norm())
        assert bool(result.success[i]) == np.isfinite(min(distances.values()))
        if result.success[i]:
            # With two classes there is one minimum. With more, each class has its own, and which
            # one is found depends on the way: it is the class that the image is taken for.
            assert min(distances.values()) - 1e-4 <= found
            # The slack: one Adam step moves each pixel by up to half the learning rate.
            assert found <= 1.03 * distances[new] + 0.03


def test_targeted_distance_is_minimal_for_linear_models() -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(3, 48, generator=generator)
    images = torch.rand(16, *SHAPE, generator=generator)
    model = Linear(weight, torch.zeros(3))
    victim = Victim(model)
    labels = victim.logits(images).argmax(dim=1)
    targets = (labels + 1) % 3
    result = carlini_wagner(victim, images, labels, STRONG, targets=targets)
    assert result.success.all()
    assert torch.equal(victim.logits(result.best).argmax(dim=1), targets)
    # One constraint of two alone gives a lower bound.
    numpy_weight = weight.double().numpy()
    for image, label, target, best in zip(images, labels, targets, result.best, strict=True):
        x = image.flatten().double().numpy()
        bound = nearest_in_box(x, numpy_weight[label] - numpy_weight[target], 0.0)
        assert float((best - image).norm()) >= bound - 1e-4


# --- against a plain version of the same attack ---


def plain_attack(
    model: nn.Module, image: Tensor, label: int, settings: CarliniWagnerSettings
) -> tuple[Tensor | None, Tensor]:
    """One image, PyTorch's autograd and Adam throughout, as one would write it down."""
    start = torch.atanh((2 * image[None].double() - 1) * (1 - 1e-6)).float()
    origin = (torch.tanh(start) + 1) / 2
    low, high, constant = 0.0, float("inf"), settings.constant
    best, best_distance = None, float("inf")
    for _ in range(settings.search_steps):
        w = start.clone().requires_grad_(True)
        optimiser = torch.optim.Adam(
            [w], lr=settings.learning_rate, betas=(BETA1, BETA2), eps=EPSILON
        )
        found = False
        for iteration in range(settings.iterations + 1):
            x = (torch.tanh(w) + 1) / 2
            logits = model(x)
            outputs = logits.softmax(1) if settings.softmax else logits
            others = torch.cat([outputs[0, :label], outputs[0, label + 1 :]])
            margin = outputs[0, label] - others.max() + settings.confidence
            if margin <= 0 and logits.argmax() != label:
                found = True
                distance = float((x - image).detach().square().sum())
                if distance < best_distance:
                    best, best_distance = x.detach()[0], distance
            if iteration == settings.iterations:
                break
            loss = (x - origin).square().sum() + constant * margin.clamp(min=0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if found:
            high = min(high, constant)
        else:
            low = max(low, constant)
        constant = (low + high) / 2 if high < float("inf") else constant * 10
    return best, x.detach()[0]


@pytest.mark.parametrize(
    "settings",
    [
        protocol(iterations=20, learning_rate=0.05, constant=2.0),
        protocol(iterations=20, learning_rate=0.05, constant=4.0, confidence=0.1),
        protocol(iterations=20, learning_rate=0.05, constant=20.0, softmax=True),
        protocol(iterations=12, learning_rate=0.05, constant=0.1, search_steps=4),
    ],
)
def test_agrees_with_the_plain_attack(settings: CarliniWagnerSettings) -> None:
    victim, images, labels = network_and_images(6)
    result = carlini_wagner(victim, images, labels, settings)
    fooled = 0
    for i in range(len(images)):
        best, last = plain_attack(small_network(), images[i], int(labels[i]), settings)
        assert bool(result.success[i]) == (best is not None)
        assert torch.allclose(result.last[i], last, atol=2e-3)
        if best is not None:
            fooled += 1
            ours, theirs = (result.best[i] - images[i]).norm(), (best - images[i]).norm()
            assert float(ours) == pytest.approx(float(theirs), rel=0.02, abs=1e-3)
    assert fooled > 0


def test_margin_of_kappa_is_reached() -> None:
    victim, images, labels = network_and_images(12)
    settings = dataclasses.replace(QUICK, confidence=0.2)
    result = carlini_wagner(victim, images, labels, settings)
    logits = victim.logits(result.best[result.success])
    own = logits.gather(1, labels[result.success, None])[:, 0]
    others = logits.scatter(1, labels[result.success, None], -torch.inf).amax(dim=1)
    assert result.success.any()
    assert (others - own >= 0.2 - 1e-5).all()


# --- independence of the batch ---


@pytest.mark.parametrize("search_steps", [1, 3])
def test_result_does_not_depend_on_batch_or_order(search_steps: int) -> None:
    # 140 images: two full groups of rows and a padded one; early stops let rows get out of step.
    settings = protocol(
        iterations=20, learning_rate=0.02, search_steps=search_steps, abort_early=True
    )
    victim, images, labels = network_and_images(140)
    assert victim.rows(images.shape[1:]) == 64
    whole = carlini_wagner(victim, images, labels, settings)
    order = torch.randperm(140, generator=torch.Generator().manual_seed(1))
    shuffled = carlini_wagner(victim, images[order], labels[order], settings)
    alone = [0, 66, 139]
    single = [carlini_wagner(victim, images[i : i + 1], labels[i : i + 1], settings) for i in alone]
    assert whole.success.any()
    for name in ("success", "best", "last", "iterations"):
        expected = getattr(whole, name)
        assert torch.equal(getattr(shuffled, name), expected[order]), name
        for i, result in zip(alone, single, strict=True):
            assert torch.equal(getattr(result, name)[0], expected[i]), name


def test_returned_images_fool_and_no_nearer_iterate_was_seen() -> None:
    victim, images, labels = network_and_images(40)
    result = carlini_wagner(victim, images, labels, QUICK)
    assert result.success.all()
    assert ((result.best >= 0) & (result.best <= 1)).all()
    assert (victim.logits(result.best).argmax(dim=1) != labels).all()
    # A longer search never ends farther away than what a search of one c finds at that c.
    first = carlini_wagner(victim, images, labels, dataclasses.replace(QUICK, search_steps=1))
    both = result.success & first.success
    distance = (result.best - images).flatten(1).norm(dim=1)
    assert (distance[both] <= (first.best - images).flatten(1).norm(dim=1)[both]).all()


def test_bfloat16_is_judged_in_float32() -> None:
    _, images, labels = network_and_images(20)
    victim = Victim(small_twin(), precision="bf16")
    result = carlini_wagner(victim, images, labels, QUICK)
    assert result.success.all()
    assert (victim.logits(result.best).argmax(dim=1) != labels).all()


def test_judge_decides_what_fools() -> None:
    victim, images, labels = network_and_images(10)
    shift = torch.nn.functional.one_hot(labels, 4) * 0.3  # a judge that is harder to fool

    def judge_of(expected: Tensor) -> object:
        def judge(given: Tensor) -> Tensor:
            nearest = (given[:, None] - images[None]).flatten(2).norm(dim=2).argmin(dim=1)
            return victim.logits(given) + shift[nearest]

        return judge

    judge = judge_of(images)
    result = carlini_wagner(
        victim, images, labels, dataclasses.replace(QUICK, confidence=0.35), judge=judge
    )
    assert result.success.any()
    fooled = result.best[result.success]
    assert (judge(fooled).argmax(dim=1) != labels[result.success]).all()


# --- what could not be fooled, and what never moved ---


def test_image_that_cannot_be_fooled_is_returned_unchanged_and_its_last_iterate_kept() -> None:
    weight = torch.zeros(2, 48)
    weight[1] = 0.01
    model = Linear(weight, torch.tensor([10.0, 0.0]))
    images = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))
    result = carlini_wagner(Victim(model), images, torch.zeros(5, dtype=torch.int64), QUICK)
    assert result.attackable.all() and not result.success.any()
    assert torch.equal(result.best, images)
    assert ((result.last - images).flatten(1).abs().amax(dim=1) > 0.1).all()


def test_without_a_gradient_nothing_moves_at_all() -> None:
    images = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = images.flatten(1)[:, :3].argmax(dim=1)
    result = carlini_wagner(Victim(Detached()), images, labels, QUICK)
    assert not result.success.any()
    assert (result.last - images).abs().max() < 1e-6


def test_forty_steps_of_the_paper_move_a_pixel_by_a_third_of_a_grey_level() -> None:
    victim, images, labels = network_and_images(10)
    result = carlini_wagner(victim, images, labels, protocol())
    largest = float((result.last - images).abs().max()) * 255
    assert 0.2 < largest < 0.31


def test_images_that_are_wrong_already_are_left_alone() -> None:
    victim, images, labels = network_and_images(6)
    wrong = (labels + 1) % 4
    result = carlini_wagner(victim, images, wrong, QUICK)
    assert not result.attackable.any() and not result.success.any()
    assert torch.equal(result.best, images) and torch.equal(result.last, images)


def test_no_images_give_an_empty_result() -> None:
    victim, images, labels = network_and_images(1)
    result = carlini_wagner(victim, images[:0], labels[:0], QUICK)
    assert len(result.success) == len(result.best) == 0


def test_tied_outputs_do_not_stop_the_attack() -> None:
    class Coarse(nn.Module):
        """Logits rounded to whole numbers, with a straight-through gradient."""

        def forward(self, images: Tensor) -> Tensor:
            value = images.flatten(1).mean(dim=1) * 10
            logits = torch.stack([5 - value, value - 5], dim=1)
            return logits + (logits.round() - logits).detach()

    images = torch.full((1, *SHAPE), 0.2)
    settings = protocol(iterations=200, learning_rate=0.01, search_steps=6)
    result = carlini_wagner(Victim(Coarse()), images, torch.tensor([0]), settings)
    assert result.success.all()


# --- bad input ---


def test_refuses_images_outside_the_range() -> None:
    victim, images, labels = network_and_images(2)
    for bad in (images * 255, images - 0.5, images + torch.nan):
        with pytest.raises(UserError, match=r"must be in \[0, 1\]"):
            carlini_wagner(victim, bad, labels, QUICK)


def test_refuses_a_target_that_is_the_true_class() -> None:
    victim, images, labels = network_and_images(3)
    targets = (labels + 1) % 4
    targets[1] = labels[1]
    with pytest.raises(UserError, match="target of image 1 is its true class"):
        carlini_wagner(victim, images, labels, QUICK, targets=targets)


def test_refuses_classes_that_the_model_has_not() -> None:
    victim, images, labels = network_and_images(3)
    with pytest.raises(UserError, match="label is outside the model's classes 0 to 3"):
        carlini_wagner(victim, images, labels + 4, QUICK)
    with pytest.raises(UserError, match="one label for each image"):
        carlini_wagner(victim, images, labels[:2], QUICK)


def test_refuses_logits_and_gradients_that_are_not_finite() -> None:
    images = torch.rand(2, *SHAPE)
    labels = torch.zeros(2, dtype=torch.int64)
    broken = Linear(torch.full((2, 48), torch.nan), torch.zeros(2))
    with pytest.raises(UserError, match="NaN or infinite logits"):
        carlini_wagner(Victim(broken), images, labels, QUICK)

    class BadGradient(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            zero = (images - images.detach()).flatten(1)[:, :1]
            return torch.cat([1 + torch.sqrt(zero), zero], dim=1)  # √ has no derivative at 0

    with pytest.raises(UserError, match="gradient is NaN or infinite"):
        carlini_wagner(Victim(BadGradient()), images, labels, protocol(iterations=3))


@pytest.mark.parametrize(
    "wrong", [{"iterations": 0}, {"search_steps": 0}, {"learning_rate": 0.0}, {"constant": -1.0}]
)
def test_refuses_settings_that_mean_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="the attack's"):
        protocol(**wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_the_processor() -> None:
    victim, images, labels = network_and_images(40)
    on_gpu = carlini_wagner(Victim(small_twin(), device="cuda"), images, labels, QUICK)
    on_cpu = carlini_wagner(victim, images, labels, QUICK)
    assert on_gpu.success.all()
    distances = [(r.best - images).flatten(1).norm(dim=1) for r in (on_gpu, on_cpu)]
    assert torch.allclose(distances[0], distances[1], rtol=0.05)
