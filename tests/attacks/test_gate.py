"""The gate on both sides of each bound, the diagnostics on known cases, and the Square attack."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from squeezed.attacks.arrangement import paper_arrangement
from squeezed.attacks.carlini_wagner import CarliniWagnerSettings, carlini_wagner
from squeezed.attacks.configured import AttackSettings, ConfiguredAttack
from squeezed.attacks.ddn import DDNSettings
from squeezed.attacks.diagnostics import (
    ROUNDING_ENLARGEMENTS,
    DiagnosticsSettings,
    enlarge,
    measure,
    noise_success,
    one_at_a_time,
    share_without_gradient,
    smallest_enlargements,
    success_by_iterations,
)
from squeezed.attacks.ensemble import EnsembleSettings
from squeezed.attacks.gate import arrangement_verdict, failures, verdict
from squeezed.attacks.outcome import image_table, write_table
from squeezed.attacks.rivals import transfer_table
from squeezed.attacks.square import square_attack
from squeezed.attacks.stored_attack import StoredAttack
from squeezed.attacks.victim import Victim
from squeezed.foundation.errors import UserError
from tests.attacks.networks import (
    SHAPE,
    Detached,
    Linear,
    network_and_images,
    protocol,
    small_network,
    small_twin,
)
from tests.attacks.test_victim import rounded_twin

GOOD: dict[str, Any] = {
    "n_attackable": 100,
    "n_again": 20,
    "success": 1.0,
    "repeat_difference": 0.0,
    "share_without_gradient": 0.0,
    "share_moved": 1.0,
    "success_one_step": 0.1,
    "success_unbounded": 1.0,
    "doubled_steps_ratio": 1.0,
    "doubled_steps_shortened": 0.0,
    "rival_shortened": 0.0,
    "smoothed_shortened": 0.0,
    "transfer_shortened": 0.0,
    "deployed_success_enlarged": 1.0,
    "square_success": 0.1,
    "success_at_square_budget": 0.5,
    "square_p_value": 0.01,
    "noise_success": 0.02,
    "rounded_success_enlarged": 1.0,
}


def test_all_checks_passed_is_reliable() -> None:
    reliable, reason = verdict(GOOD)
    assert reliable and reason.startswith("Reliable: ") and reason.endswith(".")


@pytest.mark.parametrize(
    ("name", "passes", "fails", "clause"),
    [
        ("share_without_gradient", 0.01, 0.011, "no gradient of the classes reaches 1.1 %"),
        ("share_moved", 0.99, 0.989, "moved only 98.9 %"),
        ("success_unbounded", 0.98, 0.979, "fools only 97.9 %"),
        ("success", 0.95, 0.949, "fools only 94.9 %"),
        ("repeat_difference", 0.001, 0.0011, "when it is asked again"),
        ("n_again", 20, 19, "too few images to tell (19 "),
        ("doubled_steps_ratio", 0.95, 0.949, "still falling: an upper bound"),
        ("doubled_steps_shortened", 0.1, 0.11, "twice the steps find"),
        ("rival_shortened", 0.1, 0.11, "another attack finds"),
        ("smoothed_shortened", 0.1, 0.11, "averaged over noise"),
        ("transfer_shortened", 0.1, 0.11, "other variants' adversarial images"),
        ("deployed_success_enlarged", 0.95, 0.949, "deployed engine"),
        ("square_success", 0.52, 0.53, "an attack without gradients"),
        ("success_at_square_budget", 0.08, 0.07, "an attack without gradients"),
        ("noise_success", 0.5, 0.501, "random noise"),
        ("rounded_success_enlarged", 0.95, 0.949, "survive rounding"),
    ],
)
def test_each_bound_is_judged_on_both_sides(
    name: str, passes: float, fails: float, clause: str
) -> None:
    assert failures({**GOOD, name: passes}) == []
    found = failures({**GOOD, name: fails})
    assert len(found) == 1 and clause in found[0]
    reliable, reason = verdict({**GOOD, name: fails})
    assert not reliable and reason.startswith("Unreliable: ") and clause in reason


@pytest.mark.parametrize(
    ("one_step", "unbounded", "passes"),
    [(0.97, 0.98, True), (0.98, 0.98, False), (0.99, 0.985, False), (1.0, 1.0, True)],
)
def test_success_must_rise_with_iterations_unless_one_step_fools_all(
    one_step: float, unbounded: float, passes: bool
) -> None:
    found = failures({**GOOD, "success_one_step": one_step, "success_unbounded": unbounded})
    assert found == ([] if passes else ["success does not rise with iterations"])


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in GOOD
        if n not in ("n_attackable", "n_again", "success_one_step") and not n.endswith("p_value")
    ],
)
def test_a_missing_measurement_is_never_a_pass(name: str) -> None:
    # There may be no other variant, and DDN, smoothed too, is a part of the ensemble.
    if name in ("transfer_shortened", "rival_shortened", "smoothed_shortened"):
        assert failures({**GOOD, name: None}) == []
    else:
        assert failures({**GOOD, name: None}) != []


def test_what_chance_explains_is_no_better_attack() -> None:
    """Three images of 91 with none against them: p = 0.25. Five: p = 0.0625, and no chance."""
    better = {**GOOD, "square_success": 1.04}
    assert failures({**better, "square_p_value": 0.25}) == []
    assert len(failures({**better, "square_p_value": 0.0625})) == 1
    assert len(failures({**better, "square_p_value": None})) == 1


def test_of_too_few_images_no_rival_is_judged() -> None:
    """One of eight is over 10 %, and nothing."""
    found = failures({**GOOD, "n_again": 8, "smoothed_shortened": 1 / 8})
    assert len(found) == 1 and "too few images to tell" in found[0]


def test_nothing_to_attack_is_said() -> None:
    nothing = {**dict.fromkeys(GOOD), "n_attackable": 0}
    assert verdict(nothing) == (
        False,
        "Unreliable: the model classifies no image correctly, so none was attacked.",
    )


def test_arrangement_without_gradient_is_unreliable() -> None:
    reliable, reason = arrangement_verdict(1.0, 5e-7)
    assert not reliable and "not one pixel moved" in reason
    assert not arrangement_verdict(1.0, 0.01)[0]
    assert arrangement_verdict(0.0, 0.01)[0]
    assert not arrangement_verdict(None, None)[0]


# --- the measurements ---


def test_gradient_is_missed_and_found() -> None:
    victim, images, labels = network_and_images(5)
    assert share_without_gradient(victim, images, labels) == 0
    assert share_without_gradient(Victim(Detached()), images[:, :, :4, :4], labels * 0) == 1
    half_dead = Linear(torch.zeros(2, 48), torch.tensor([1.0, 0.0]))
    assert share_without_gradient(Victim(half_dead), images[:, :, :4, :4], labels * 0) == 1
    assert share_without_gradient(victim, images[:0], labels[:0]) is None


def test_success_rises_with_iterations_and_reaches_all() -> None:
    victim, images, labels = network_and_images(30)
    shares = success_by_iterations(victim, images, labels, iterations=60, learning_rate=0.05)
    one, quarter, everything = shares.values()
    assert one is not None and quarter is not None
    assert one < quarter <= everything == 1


def test_smallest_enlargement_is_found() -> None:
    images = torch.full((4, 1, 1, 1), 0.5)
    adversarial = torch.tensor([0.6, 0.596, 0.592, 0.55]).view(4, 1, 1, 1)

    def judge(given: Tensor) -> Tensor:  # taken for class 1 from 0.6 on
        value = given.flatten(1)
        return torch.cat([torch.full_like(value, 0.5999), value], dim=1)

    needed = smallest_enlargements(judge, images, adversarial, torch.zeros(4, dtype=torch.int64))
    assert needed.tolist() == [1.0, pytest.approx(1.05), pytest.approx(1.1), float("inf")]
    doubled = smallest_enlargements(judge, images, adversarial, needed.long() * 0, [1, 2])
    assert doubled.tolist() == [1.0, 2.0, 2.0, 2.0]
    assert enlarge(images, adversarial * 2, 10).max() == 1


def test_a_change_shorter_than_the_rounding_survives_it_doubled() -> None:
    """An image on the boundary is no sign of a mask: its change is below a grey level."""
    levels = torch.full((1, 1, 1, 1), 100 / 255)
    adversarial = levels + 0.4 / 255

    def judge(given: Tensor) -> Tensor:  # taken for class 1 from 100.3 grey levels on
        value = given.flatten(1)
        return torch.cat([torch.full_like(value, 100.3 / 255), value], dim=1)

    label = torch.zeros(1, dtype=torch.int64)

    def rounded(given: Tensor) -> Tensor:
        return judge((given * 255).round() / 255)

    assert torch.isinf(smallest_enlargements(rounded, levels, adversarial, label)).all()
    found = smallest_enlargements(rounded, levels, adversarial, label, ROUNDING_ENLARGEMENTS)
    assert found.tolist() == [1.5]


def test_noise_of_an_attacks_length_is_harmless_where_the_attack_is_aimed() -> None:
    victim, images, labels = network_and_images(20)
    result = carlini_wagner(
        victim, images, labels, protocol(iterations=30, learning_rate=0.05, constant=5.0)
    )
    found = result.success
    lengths = (result.best - images).flatten(1).norm(dim=1)
    share = noise_success(victim, images[found], labels[found], lengths[found], draws=4, seed=0)
    assert found.sum() >= 10 and share is not None and share < 0.3
    # Two classes on either side of the middle: loud noise is a coin toss.
    weight = torch.randn(2, 48, generator=torch.Generator().manual_seed(0))
    linear = Linear(weight, -weight.sum(dim=1) / 2)
    small = torch.rand(50, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    sides = Victim(linear).logits(small).argmax(dim=1)
    loud = noise_success(Victim(linear), small, sides, torch.full((50,), 50.0), draws=4, seed=0)
    assert loud == pytest.approx(0.5, abs=0.15)


class Masked(nn.Module):
    """A network whose gradient is masked by steps so small that none is left."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        coarse = (images * 64).round() / 64  # the derivative of rounding is zero
        return self.network(coarse)


def configured(settings: Any) -> ConfiguredAttack:
    method = {CarliniWagnerSettings: "carlini_wagner", EnsembleSettings: "ensemble"}[type(settings)]
    return ConfiguredAttack(AttackSettings(method, 24, 0, 24, "untargeted", True, "fp32"), settings)


def stored(
    tmp_path: Path, victim: Victim, images: Tensor, labels: Tensor, attack: Any
) -> StoredAttack:
    result = configured(attack).run(victim, images, labels)
    table = image_table(victim, images, labels, result, indices=np.arange(len(images)))
    write_table(tmp_path / "images.csv", table)
    save_file({"best": result.best, "last": result.last}, tmp_path / "images.safetensors")
    return StoredAttack.read(tmp_path / "images.csv", tmp_path / "images.safetensors")


SETTINGS = DiagnosticsSettings(
    attack="strong",
    images=20,
    iterations=40,
    learning_rate=0.05,
    square_queries=60,
    noise_draws=2,
)
STRONG = protocol(iterations=60, learning_rate=0.05, search_steps=4, scale_free=True)
DDN = DDNSettings(steps=60, init_epsilon=1.0, gamma=0.05, scale_free=True)
CONVERGED = EnsembleSettings(
    ddn=DDN,
    near_classes=2,
    smoothed=replace(DDN, steps=10, noise_draws=1),
    carlini_wagner=replace(STRONG, iterations=20, search_steps=1),
    transferred=True,
    refining_steps=10,
)


def test_a_plain_network_passes_the_gate(tmp_path: Path) -> None:
    victim, images, labels = network_and_images(24)
    labels = labels.clone()
    labels[3] = (labels[3] + 1) % 4  # one image is wrong already
    attack = stored(tmp_path, victim, images, labels, CONVERGED)
    theirs = attack.chosen(torch.ones(24, dtype=torch.bool))  # a copy under another name
    args = (victim, victim.logits, images, attack)
    checks, distances = measure(*args, {"baseline": theirs}, configured(CONVERGED), SETTINGS)
    assert checks["n_attackable"] == 23
    assert verdict(checks)[0], verdict(checks)[1]
    matrix = transfer_table(attack, distances)
    assert list(matrix["from"]) == ["baseline"]
    assert matrix["n"][0] == 23 and matrix["fooled"][0] == checks["success"] == 1
    assert matrix["l2_median"][0] == pytest.approx(matrix["l2_median_own"][0], rel=1e-3)
    own, _ = measure(*args, {}, configured(CONVERGED), SETTINGS)
    assert own["transfer_shortened"] is None and verdict(own)[0]


def test_a_masked_gradient_is_caught(tmp_path: Path) -> None:
    _, images, _ = network_and_images(24)
    victim = Victim(Masked(small_network()))
    labels = victim.logits(images).argmax(dim=1)
    attack = stored(tmp_path, victim, images, labels, CONVERGED)
    baseline = stored(tmp_path, Victim(small_twin()), images, labels, CONVERGED)
    args = (victim, victim.logits, images, attack)
    checks, _ = measure(*args, {"baseline": baseline}, configured(CONVERGED), SETTINGS)
    reliable, reason = verdict(checks)
    assert not reliable
    assert "no gradient of the classes reaches 100 %" in reason
    assert "moved only 0 %" in reason
    assert "other variants' adversarial images" in reason  # transfer sees through the mask


@pytest.mark.parametrize(
    "changes", [{"constant": 1e-3, "search_steps": 1}, {"iterations": 5, "constant": 1e3}]
)
def test_an_attack_that_has_not_converged_is_caught(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    victim, images, labels = network_and_images(24)
    weak = replace(STRONG, **changes)
    attack = stored(tmp_path, victim, images, labels, weak)
    checks, _ = measure(victim, victim.logits, images, attack, {}, configured(weak), SETTINGS)
    reliable, reason = verdict(checks)
    assert not reliable
    assert "another attack finds" in reason


def test_attacks_on_different_images_are_refused(tmp_path: Path) -> None:
    victim, images, labels = network_and_images(4)
    attack = stored(tmp_path, victim, images, labels, protocol(iterations=3, learning_rate=0.05))
    other = attack.chosen(torch.ones(4, dtype=torch.bool))
    other.index = other.index + 1
    with pytest.raises(UserError, match="baseline was attacked on other images"):
        measure(
            victim,
            victim.logits,
            images,
            attack,
            {"baseline": other},
            configured(STRONG),
            SETTINGS,
        )


def test_the_baselines_images_are_found_by_their_numbers(tmp_path: Path) -> None:
    victim, images, labels = network_and_images(4)
    attack = stored(tmp_path, victim, images, labels, protocol(iterations=3, learning_rate=0.05))
    attack.index = torch.tensor([7, 3, 9, 1])
    found = attack.images_of(np.array([9, 7]))
    assert torch.equal(found, attack.best[[2, 0]])
    with pytest.raises(UserError, match="not on image 8"):
        attack.images_of(np.array([9, 8]))


def test_the_deployed_engine_is_asked_about_one_image_at_a_time() -> None:
    asked = []

    def predict(images: np.ndarray) -> np.ndarray:
        asked.append(images.shape)
        return images.reshape(len(images), -1)[:, :4]

    images = torch.rand(3, *SHAPE)
    assert torch.equal(one_at_a_time(predict)(images), images.flatten(1)[:, :4])
    assert asked == [(1, *SHAPE)] * 3


def test_the_papers_arrangement_is_judged_where_something_is_rounded() -> None:
    twin = rounded_twin()
    images = torch.rand(6, 3, 8, 8)
    labels = Victim(twin).logits(images).argmax(dim=1)
    fields = paper_arrangement(twin, images, labels)
    assert fields["paper_arrangement_share_without_gradient"] == 1
    assert fields["paper_arrangement_max_abs_change"] < 1e-6
    assert not fields["paper_arrangement_reliable"]
    assert "not one pixel moved" in fields["paper_arrangement_reason"]
    nothing = paper_arrangement(twin, images[:0], labels[:0])
    assert not nothing["paper_arrangement_reliable"]
    assert paper_arrangement(small_twin(), images, labels) == {}


# --- Square ---


@settings(max_examples=10, deadline=None)
@given(budget=st.floats(0.05, 4), seed=st.integers(0, 100), queries=st.integers(1, 30))
def test_square_stays_within_its_budget_and_queries(budget: float, seed: int, queries: int) -> None:
    victim, images, labels = network_and_images(6)
    asked = 0

    def logits(given: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += len(given)
        return victim.logits(torch.from_numpy(given)).numpy()

    result = square_attack(
        logits, images.numpy(), labels.numpy(), budget=budget, queries=queries, seed=seed
    )
    change = (result.images - images.numpy()).reshape(6, -1)
    assert (np.linalg.norm(change, axis=1) <= budget * 1.0001 + 1e-6).all()
    assert result.images.min() >= 0 and result.images.max() <= 1
    assert result.queries.sum() == asked and result.queries.max() <= queries
    predicted = victim.logits(torch.from_numpy(result.images)).argmax(dim=1)
    assert ((predicted != labels).numpy() == result.success).all()


def test_square_finds_what_a_large_budget_allows() -> None:
    victim, images, labels = network_and_images(20)

    def logits(given: np.ndarray) -> np.ndarray:
        return victim.logits(torch.from_numpy(given)).numpy()

    shares = [
        square_attack(
            logits, images.numpy(), labels.numpy(), budget=budget, queries=150, seed=0
        ).success.mean()
        for budget in (0.05, 0.5, 5.0)
    ]
    assert shares[0] <= shares[1] <= shares[2]
    assert shares[0] < 0.5 < 0.9 < shares[2]
