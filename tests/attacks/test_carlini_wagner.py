"""The Carlini-Wagner attack against closed forms, a plain version of itself, and bad input."""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from squeezed.attacks.carlini_wagner import BETA1, BETA2, EPSILON, Protocol, carlini_wagner
from squeezed.attacks.objective import Margin
from squeezed.attacks.rows import from_tanh_space, to_tanh_space
from squeezed.attacks.streamline import ADJACENT, Flatten, ImageConvolution
from squeezed.attacks.timing import time_attack
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError
from squeezed.networks import VGG6, Classifier
from squeezed.networks.torchvision_models import build_torchvision_model

STRONG = Protocol(iterations=300, learning_rate=0.05, search_steps=6, abort_early=True)
QUICK = Protocol(iterations=80, learning_rate=0.05, search_steps=4, abort_early=True)
SHAPE = (3, 4, 4)


class Linear(nn.Module):
    """Logits that are linear in the pixels."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.linear(images.flatten(1), self.weight, self.bias)


def small_network(seed: int = 0, classes: int = 4) -> Classifier:
    """A convolutional network with random weights and batch norm statistics."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, classes),
    )
    for module in network:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.3, 1.0)
    return Classifier(network, [0.5] * 3, [0.25] * 3).eval()


def network_and_images(n: int, seed: int = 0) -> tuple[Victim, Tensor, Tensor]:
    """A victim, images and the labels that it gives them, so that all are attackable."""
    victim = Victim(small_network(seed))
    images = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return victim, images, victim.logits(images).argmax(dim=1)


def nearest_in_box(image: np.ndarray, normal: np.ndarray, offset: float) -> float:
    """Return the least L2 distance from `image` to normal·x + offset ≤ 0 within [0, 1].

    At the minimum x = clip(image − λ·normal) for the λ ≥ 0 at which the constraint just holds.
    """
    low, high = 0.0, 1.0

    def value(step: float) -> float:
        return float(normal @ np.clip(image - step * normal, 0, 1) + offset)

    while value(high) > 0:
        high *= 2
        if high > 1e9:
            return np.inf  # no image in the box is on the other side
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if value(middle) > 0 else (low, middle)
    return float(np.linalg.norm(np.clip(image - high * normal, 0, 1) - image))


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
    strong = Protocol(iterations=400, learning_rate=0.05, search_steps=6, abort_early=True)
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
    model: nn.Module, image: Tensor, label: int, protocol: Protocol
) -> tuple[Tensor | None, Tensor]:
    """One image, PyTorch's autograd and Adam throughout, as one would write it down."""
    start = torch.atanh((2 * image[None].double() - 1) * (1 - 1e-6)).float()
    origin = (torch.tanh(start) + 1) / 2
    low, high, constant = 0.0, float("inf"), protocol.constant
    best, best_distance = None, float("inf")
    for _ in range(protocol.search_steps):
        w = start.clone().requires_grad_(True)
        optimiser = torch.optim.Adam(
            [w], lr=protocol.learning_rate, betas=(BETA1, BETA2), eps=EPSILON
        )
        found = False
        for iteration in range(protocol.iterations + 1):
            x = (torch.tanh(w) + 1) / 2
            logits = model(x)
            outputs = logits.softmax(1) if protocol.softmax else logits
            others = torch.cat([outputs[0, :label], outputs[0, label + 1 :]])
            margin = outputs[0, label] - others.max() + protocol.confidence
            if margin <= 0 and logits.argmax() != label:
                found = True
                distance = float((x - image).detach().square().sum())
                if distance < best_distance:
                    best, best_distance = x.detach()[0], distance
            if iteration == protocol.iterations:
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
    "protocol",
    [
        Protocol(iterations=20, learning_rate=0.05, constant=2.0),
        Protocol(iterations=20, learning_rate=0.05, constant=4.0, confidence=0.1),
        Protocol(iterations=20, learning_rate=0.05, constant=20.0, softmax=True),
        Protocol(iterations=12, learning_rate=0.05, constant=0.1, search_steps=4),
    ],
)
def test_agrees_with_the_plain_attack(protocol: Protocol) -> None:
    victim, images, labels = network_and_images(6)
    result = carlini_wagner(victim, images, labels, protocol)
    fooled = 0
    for i in range(len(images)):
        best, last = plain_attack(small_network(), images[i], int(labels[i]), protocol)
        assert bool(result.success[i]) == (best is not None)
        assert torch.allclose(result.last[i], last, atol=2e-3)
        if best is not None:
            fooled += 1
            ours, theirs = (result.best[i] - images[i]).norm(), (best - images[i]).norm()
            assert float(ours) == pytest.approx(float(theirs), rel=0.02, abs=1e-3)
    assert fooled > 0


def test_margin_of_kappa_is_reached() -> None:
    victim, images, labels = network_and_images(12)
    protocol = dataclasses.replace(QUICK, confidence=0.2)
    result = carlini_wagner(victim, images, labels, protocol)
    logits = victim.logits(result.best[result.success])
    own = logits.gather(1, labels[result.success, None])[:, 0]
    others = logits.scatter(1, labels[result.success, None], -torch.inf).amax(dim=1)
    assert result.success.any()
    assert (others - own >= 0.2 - 1e-5).all()


# --- the model made ready ---


class _SkipsImages(nn.Module):
    """A network that reads the images a second time, beside its convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3 * 64, 4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head((self.norm(self.convolution(images)) + images).flatten(1))
        return logits


class _CallsTwice(_SkipsImages):
    """A network whose first convolution is called again, on its own output."""

    def forward(self, images: Tensor) -> Tensor:
        again = self.convolution(self.convolution(images))
        logits: Tensor = self.head((self.norm(again)).flatten(1))
        return logits


@pytest.mark.parametrize(
    "network",
    [
        lambda: VGG6(4, (8, 8)),
        lambda: build_torchvision_model("resnet18", 4, (8, 8), {}),
        _SkipsImages,
        _CallsTwice,
    ],
    ids=["vgg6", "resnet18", "images read twice", "convolution called twice"],
)
def test_a_model_made_ready_is_the_same_function(network: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = Classifier(network(), [0.2, 0.5, 0.6], [0.2, 0.25, 0.4]).eval()
    before = copy.deepcopy(model.state_dict())
    images = torch.rand(4, 3, 8, 8)
    labels = torch.tensor([0, 1, 2, 3])
    victim = Victim(model, rows=4)
    logits, gradient = victim.step(images, Margin(labels).values)
    given = images.clone().requires_grad_(True)
    expected = model(given)
    Margin(labels).values(expected).sum().backward()
    assert gradient is not None and given.grad is not None
    torch.testing.assert_close(logits, expected.detach(), rtol=1e-4, atol=1e-5)
    scale = float(given.grad.abs().max())
    torch.testing.assert_close(gradient, given.grad, rtol=1e-3, atol=1e-4 * scale)
    torch.testing.assert_close(model.state_dict(), before)  # the caller's stays as it is


@settings(deadline=None)
@given(st.data())
def test_gradient_of_joined_columns_is_the_gradient(data: st.DataObject) -> None:
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    kernel = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    padding = tuple(data.draw(st.integers(0, size - 1)) for size in kernel)
    # Also a width that is no multiple, where the columns are not joined.
    width = ADJACENT * data.draw(st.integers(2, 4)) + data.draw(st.sampled_from([0, 0, 0, 1]))
    size = (data.draw(st.integers(kernel[0], 13)), width)
    channels, channels_out = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    convolution = nn.Conv2d(channels, channels_out, kernel, padding=padding).double()
    assert ImageConvolution.can_wrap(convolution)
    images = torch.rand(2, channels, *size, dtype=torch.float64, requires_grad=True)
    expected = convolution(images)
    outputs = ImageConvolution(convolution)(images)
    arriving = torch.rand_like(expected)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(
        torch.autograd.grad(outputs, images, arriving),
        torch.autograd.grad(expected, images, arriving),
    )


@pytest.mark.parametrize(
    "other",
    [
        {"stride": 2},
        {"stride": (1, 2)},
        {"dilation": 2},
        {"groups": 3},
        {"padding": 3},
        {"padding": "same"},
        {"padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)
def test_columns_of_other_convolutions_are_not_joined(other: dict[str, object]) -> None:
    assert not ImageConvolution.can_wrap(nn.Conv2d(3, 6, 3, **other))


def test_flattening_hands_the_gradient_back_in_the_layout_of_the_layers_before() -> None:
    activations = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    flat = Flatten()(activations)
    assert torch.equal(flat, activations.flatten(1))
    (gradient,) = torch.autograd.grad((flat**2).sum(), activations)
    assert torch.equal(gradient, 2 * activations)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


# --- independence of the batch ---


@pytest.mark.parametrize("search_steps", [1, 3])
def test_result_does_not_depend_on_batch_or_order(search_steps: int) -> None:
    # 140 images: two full groups of rows and a padded one; early stops let rows get out of step.
    protocol = Protocol(
        iterations=20, learning_rate=0.02, search_steps=search_steps, abort_early=True
    )
    victim, images, labels = network_and_images(140)
    assert victim.rows(images.shape[1:]) == 64
    whole = carlini_wagner(victim, images, labels, protocol)
    order = torch.randperm(140, generator=torch.Generator().manual_seed(1))
    shuffled = carlini_wagner(victim, images[order], labels[order], protocol)
    alone = [0, 66, 139]
    single = [carlini_wagner(victim, images[i : i + 1], labels[i : i + 1], protocol) for i in alone]
    assert whole.success.any()
    for name in ("success", "best", "last", "constant", "iterations"):
        expected = getattr(whole, name)
        assert torch.equal(getattr(shuffled, name), expected[order]), name
        for i, result in zip(alone, single, strict=True):
            assert torch.equal(getattr(result, name)[0], expected[i]), name


def test_logits_are_the_same_bits_whatever_precision_steps_have() -> None:
    victim, images, _ = network_and_images(140)
    shapes: set[torch.Size] = set()
    quick = Victim(small_network(), precision="bf16")
    quick.model.register_forward_pre_hook(lambda _, inputs: shapes.add(inputs[0].shape))
    assert torch.equal(quick.logits(images), victim.logits(images))
    assert shapes == {torch.Size((victim.rows(images.shape[1:]), *images.shape[1:]))}


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
    victim = Victim(small_network(), precision="bf16")
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


def test_victim_computes_what_its_model_computes() -> None:
    torch.manual_seed(0)
    model = Classifier(VGG6(5), [0.4, 0.5, 0.6], [0.2, 0.3, 0.25])
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(16, 3, 32, 32))  # gives the batch norms statistics
    model.eval()
    images = torch.rand(32, 3, 32, 32)
    victim = Victim(model)
    margin = Margin(torch.arange(32) % 5)
    logits, gradient = victim.step(images, margin.values)
    plain = images.clone().requires_grad_(True)
    expected = model(plain)
    margin.values(expected).sum().backward()
    assert gradient is not None and plain.grad is not None
    assert torch.allclose(logits, expected, atol=1e-4, rtol=1e-3)
    scale = plain.grad.abs().mean()
    assert ((gradient - plain.grad).abs() < 0.02 * scale).float().mean() > 0.999
    assert torch.equal(victim.logits(images), victim.logits(images))


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


class Detached(nn.Module):
    """A model through which no gradient passes, as a dynamically quantized one."""

    def forward(self, images: Tensor) -> Tensor:
        return images.detach().flatten(1)[:, :3]


def test_without_a_gradient_nothing_moves_at_all() -> None:
    images = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = images.flatten(1)[:, :3].argmax(dim=1)
    result = carlini_wagner(Victim(Detached()), images, labels, QUICK)
    assert not result.success.any()
    assert (result.last - images).abs().max() < 1e-6


def test_forty_steps_of_the_paper_move_a_pixel_by_a_third_of_a_grey_level() -> None:
    victim, images, labels = network_and_images(10)
    result = carlini_wagner(victim, images, labels, Protocol())
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
    protocol = Protocol(iterations=200, learning_rate=0.01, search_steps=6)
    result = carlini_wagner(Victim(Coarse()), images, torch.tensor([0]), protocol)
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
        carlini_wagner(Victim(BadGradient()), images, labels, Protocol(iterations=3))


@pytest.mark.parametrize(
    "wrong", [{"iterations": 0}, {"search_steps": 0}, {"learning_rate": 0.0}, {"constant": -1.0}]
)
def test_refuses_settings_that_mean_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="the attack's"):
        Protocol(**wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_the_processor() -> None:
    victim, images, labels = network_and_images(40)
    on_gpu = carlini_wagner(Victim(small_network(), device="cuda"), images, labels, QUICK)
    on_cpu = carlini_wagner(victim, images, labels, QUICK)
    assert on_gpu.success.all()
    distances = [(r.best - images).flatten(1).norm(dim=1) for r in (on_gpu, on_cpu)]
    assert torch.allclose(distances[0], distances[1], rtol=0.05)


@pytest.mark.parametrize(("n", "timed"), [(3, 4), (4, 4), (11, 8)])
def test_attacks_are_timed_on_full_batches(n: int, timed: int) -> None:
    """Padding is nobody's time: fewer images than rows are taken again, those beyond left out."""
    model = small_network()
    victims = {name: Victim(model, rows=4) for name in ("baseline", "pruned")}
    images = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = victims["baseline"].logits(images).argmax(dim=1)
    times = time_attack(victims, images, labels, Protocol(iterations=2), repeats=3)
    assert set(times) == set(victims)
    for own in times.values():
        assert own["n_timed"] == timed
        low, high = own["attack_time_per_image_ms_min"], own["attack_time_per_image_ms_max"]
        assert 0 < low <= own["attack_time_per_image_ms"] <= high


def test_an_attack_without_images_takes_no_time() -> None:
    victim, images, labels = network_and_images(4)
    wrong = (labels + 1) % 4
    times = time_attack({"baseline": victim}, images, wrong, Protocol(iterations=2), repeats=2)
    assert times["baseline"]["n_timed"] == 0
    assert times["baseline"]["attack_time_per_image_ms"] is None
