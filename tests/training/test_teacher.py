"""What a training learns from beside the labels: closed forms, and what they change."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from squeezed.training.loop import run_epochs
from squeezed.training.teacher import Mixup, Teacher, distillation_loss
from tests.steps.networks import tiny_vgg
from tests.steps.workshop import TRAINING, five_digits, tiny_card, training


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return five_digits(tmp_path_factory.mktemp("data"))


@given(st.integers(0, 99), st.integers(1, 6), st.floats(0.5, 20))
@settings(max_examples=30, deadline=None)
def test_the_loss_is_hinton_s(seed, n, temperature):
    generator = np.random.default_rng(seed)
    student, teacher = generator.normal(0, 4, (2, n, 5))
    p, q = softmax(teacher / temperature, axis=1), softmax(student / temperature, axis=1)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()
    found = distillation_loss(torch.tensor(student), torch.tensor(teacher), temperature)
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_gradient_nears_that_of_the_logits_at_high_temperature():
    """T²·KL tends to half the mean squared difference of centred logits (Hinton et al. 2015)."""
    student = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(4, 5, dtype=torch.float64)
    distillation_loss(student, teacher, 1e4).backward()
    difference = student.detach() - student.detach().mean(1, keepdim=True)
    difference -= teacher - teacher.mean(1, keepdim=True)
    assert torch.allclose(student.grad, difference / 5 / 4, rtol=1e-3, atol=1e-6)


def test_one_step_with_a_teacher_is_the_weighed_sum(digits):
    """One batch, no momentum: the step is the weighed sum of the two gradients."""
    changes = {
        "batch_size": 96,
        "schedule": "constant",
        "warmup_share": 0.0,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "label_smoothing": 0.1,
    }
    teacher, weight, temperature = tiny_vgg(seed=1), 0.3, 3.0
    reference = tiny_vgg()
    images = torch.from_numpy(digits.train.images())
    labels = torch.from_numpy(digits.train.labels)
    logits = reference.train()(images)
    with torch.no_grad():
        taught = teacher(images)
    loss = 0.7 * torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    loss = loss + weight * distillation_loss(logits, taught, temperature)
    loss.backward()
    model, before = tiny_vgg(), {n: t.clone() for n, t in teacher.state_dict().items()}
    result = run_epochs(
        model,
        digits,
        training(**changes),
        seed=0,
        teacher=Teacher(teacher, tiny_card(), temperature, weight),
    )
    rate = TRAINING["learning_rate"]
    for (name, own), other in zip(model.named_parameters(), reference.parameters(), strict=True):
        assert torch.allclose(own, other - rate * other.grad, atol=1e-5), name
    assert result.history[0].train_loss == pytest.approx(float(loss.detach()), rel=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())


def test_a_teacher_without_weight_changes_nothing(digits):
    first, second = tiny_vgg(), tiny_vgg()
    run_epochs(first, digits, training(), seed=0)
    teacher = Teacher(tiny_vgg(seed=1), tiny_card(), 4.0, 0.0)
    run_epochs(second, digits, training(), seed=0, teacher=teacher)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_mixtures_are_means_of_two_images():
    images, labels = torch.rand(6, 3, 4, 4), torch.arange(6)
    mixed, partners, share = Mixup(0.4, seed=0)(images, labels)
    assert 0 <= share <= 1
    assert sorted(partners.tolist()) == list(range(6))
    assert torch.allclose(mixed, share * images + (1 - share) * images[partners], atol=1e-6)
    again, same, _ = Mixup(0.4, seed=0)(images, labels)
    assert torch.equal(mixed, again) and torch.equal(partners, same)


def test_shares_are_of_the_beta_distribution():
    mixup = Mixup(0.4, seed=3)
    shares = [mixup(torch.zeros(1, 1), torch.zeros(1))[2] for _ in range(4000)]
    # Beta(α, α) has mean 1/2 and variance 1 / (4 (2α + 1)).
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.var(shares) == pytest.approx(1 / (4 * 1.8), abs=0.01)


def test_mixup_trains_and_is_off_at_zero(digits):
    def state(alpha):
        model = tiny_vgg()
        augmentation = {**TRAINING["augmentation"], "mixup": alpha}
        result = run_epochs(model, digits, training(augmentation=augmentation), seed=0)
        assert math.isfinite(result.history[0].train_loss)
        return model.network.classifier[4].weight

    assert torch.equal(state(0.4), state(0.4))
    assert not torch.equal(state(0.0), state(0.4))
