"""What an attack's time is measured on."""

import pytest
import torch

from squeezed.attacks.configured import ConfiguredAttack, read_attack
from squeezed.attacks.timing import time_attack
from squeezed.attacks.victim import Victim
from tests.attacks.networks import network_and_images, small_network


def quick_attack() -> ConfiguredAttack:
    section = {"images": 4, "images_seed": 0, "batch_size": 4, "target": "untargeted"}
    section |= {"straight_through": True, "precision": "fp32"}
    own = {"method": "ddn", "steps": 2, "init_epsilon": 1.0, "gamma": 0.05, "scale_free": False}
    own |= {"noise_draws": 0}
    return read_attack(section | own)


@pytest.mark.parametrize(("n", "timed"), [(3, 4), (4, 4), (11, 8)])
def test_attacks_are_timed_on_full_batches(n: int, timed: int) -> None:
    """Padding is nobody's time: fewer images than rows are taken again, those beyond left out."""
    model = small_network()
    victims = {name: Victim(model, rows=4) for name in ("baseline", "pruned")}
    images = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = victims["baseline"].logits(images).argmax(dim=1)
    times = time_attack(victims, images, labels, quick_attack(), repeats=5)
    assert set(times) == set(victims)
    for own in times.values():
        assert own["n_timed"] == timed
        low, high = own["attack_time_per_image_ms_low"], own["attack_time_per_image_ms_high"]
        assert own["n_repeats"] == 5
        assert 0 < low <= own["attack_time_per_image_ms"] <= high


@pytest.mark.parametrize(("images", "rows"), [(None, 4), (2, 2), (9, 4)])
def test_batches_are_no_larger_than_what_is_attacked(images: int | None, rows: int) -> None:
    """Else a timing of few images would compute the attack's own batches, for nothing."""
    victim = quick_attack().victim(small_network(), torch.device("cpu"), images=images)
    assert victim.rows(torch.Size((3, 8, 8))) == rows


def test_an_attack_without_images_takes_no_time() -> None:
    victim, images, labels = network_and_images(4)
    wrong = (labels + 1) % 4
    times = time_attack({"baseline": victim}, images, wrong, quick_attack(), repeats=2)
    assert times["baseline"]["n_timed"] == 0
    assert times["baseline"]["attack_time_per_image_ms"] is None
