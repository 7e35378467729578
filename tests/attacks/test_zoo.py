"""Every mask of the zoo is caught, and no honest model is called unreliable.

A mask is caught where the gate says so, or where the attack sees through it: then the figure is the
network's own behind it, and no harm is done.
"""

import functools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from squeezed.attacks.configured import AttackSettings, ConfiguredAttack
from squeezed.attacks.ddn import DDNSettings
from squeezed.attacks.diagnostics import DiagnosticsSettings, measure
from squeezed.attacks.ensemble import EnsembleSettings
from squeezed.attacks.gate import verdict
from squeezed.attacks.stored_attack import StoredAttack
from squeezed.attacks.victim import Victim
from tests.attacks import zoo
from tests.attacks.networks import protocol
from tests.matrix import matrix

FAST = ("logits_times_10", "ripple", "steep_stairs", "misled")
DDN = DDNSettings(steps=30, init_epsilon=1.0, gamma=0.1, scale_free=True)
ATTACK = ConfiguredAttack(
    AttackSettings("ensemble", zoo.ATTACKED, 0, zoo.ATTACKED, "untargeted", True, "fp32"),
    EnsembleSettings(
        ddn=DDN,
        near_classes=2,
        smoothed=replace(DDN, steps=10, noise_draws=1),
        carlini_wagner=protocol(
            iterations=20, learning_rate=0.2, search_steps=1, abort_early=True, scale_free=True
        ),
        transferred=True,
        refining_steps=20,
    ),
)
SETTINGS = DiagnosticsSettings("strong", 20, 30, 0.1, square_queries=50, noise_draws=2)


def attacked(model: nn.Module) -> tuple[Victim, StoredAttack]:
    images, labels = zoo.test_images()
    victim = ATTACK.victim(model, torch.device("cpu"))
    starts = None if model is zoo.baseline() else baselines().best
    found = ATTACK.run(victim, images, labels, starts=starts)
    length = (found.best - images).flatten(1).norm(dim=1)
    return victim, StoredAttack(
        index=torch.arange(len(images)),
        label=labels,
        attackable=found.attackable,
        success=found.success,
        l2=torch.where(found.success, length, torch.nan),
        best=found.best,
        last=found.last,
    )


@functools.cache
def baselines() -> StoredAttack:
    return attacked(zoo.baseline())[1]


def judged(model: nn.Module) -> tuple[bool, str, Tensor]:
    """The verdict with its reason, and the median distance that is shown."""
    victim, shown = attacked(model)
    others = {} if model is zoo.baseline() else {"baseline": baselines()}
    checks, _ = measure(
        victim, victim.logits, zoo.test_images()[0], shown, others, ATTACK, SETTINGS
    )
    return *verdict(checks), shown.l2.nanmedian()


@pytest.mark.parametrize("name", [*FAST, *matrix(sorted(zoo.MASKS.keys() - FAST), "noise", "jpeg")])
def test_a_mask_is_caught(name: str) -> None:
    torch.manual_seed(0)
    reliable, reason, median = judged(zoo.MASKS[name]())
    assert not reliable or median <= 1.05 * baselines().l2.nanmedian(), reason


@pytest.mark.parametrize(
    "name", ["baseline", *matrix(sorted(zoo.HONEST.keys() - {"baseline"}), "wide")]
)
def test_an_honest_model_is_believed(name: str) -> None:
    reliable, reason, _ = judged(zoo.HONEST[name]())
    assert reliable, reason


@pytest.mark.matrix
def test_robustness_that_was_trained_in_is_called_reliable_and_larger() -> None:
    """A positive control: projected gradient descent in training (Madry et al. 2018)."""
    reliable, reason, median = judged(zoo.HONEST["adversarially_trained"]())
    assert reliable, reason
    assert median > 1.2 * baselines().l2.nanmedian()


def test_there_are_enough_of_them() -> None:
    assert len(zoo.MASKS) >= 12
    assert len(zoo.HONEST) >= 6
