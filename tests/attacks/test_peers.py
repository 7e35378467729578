"""The attack beside two independent implementations, per image, at equal settings.

They are no dependencies of the project: `uv pip install -r requirements-peers.txt`.
"""

import pytest
import torch

from squeezed.attacks.carlini_wagner import carlini_wagner
from squeezed.attacks.ddn import DDNSettings, ddn
from tests.attacks.networks import network_and_images, protocol, small_network

WHY = "the peers are not installed: uv pip install -r requirements-peers.txt"
foolbox = pytest.importorskip("foolbox", reason=WHY)
art_evasion = pytest.importorskip("art.attacks.evasion", reason=WHY)


def distances(adversarial: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return (adversarial - images).flatten(1).norm(dim=1)


@pytest.mark.parametrize("search_steps", [1, 4])
@pytest.mark.parametrize("confidence", [0.0, 0.05])
def test_foolbox_finds_the_same_images_at_the_same_distances(
    search_steps: int, confidence: float
) -> None:
    victim, images, labels = network_and_images(16)
    steps, learning_rate, constant = 30, 0.02, 1.0
    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=search_steps,
        steps=steps,
        stepsize=learning_rate,
        initial_const=constant,
        confidence=confidence,
        abort_early=False,  # it looks at the loss of the whole batch
    )
    peer = foolbox.PyTorchModel(small_network(), bounds=(0, 1), device="cpu")
    theirs = attack.run(peer, images, foolbox.criteria.Misclassification(labels))
    # It returns a black image where it found nothing: that is no success.
    their_success = ~(theirs == 0).flatten(1).all(dim=1)
    # It does not look at the image after the last step: one step less gives the same iterates.
    settings = protocol(
        iterations=steps - 1,
        learning_rate=learning_rate,
        constant=constant,
        search_steps=search_steps,
        confidence=confidence,
    )
    ours = carlini_wagner(victim, images, labels, settings)
    assert torch.equal(ours.success, their_success)
    assert int(ours.success.sum()) > 0
    found = ours.success
    assert torch.allclose(
        distances(ours.best, images)[found], distances(theirs, images)[found], rtol=0.01, atol=1e-3
    )


def test_foolbox_agrees_on_targets() -> None:
    victim, images, labels = network_and_images(12)
    targets = (labels + 1) % 4
    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=1, steps=60, stepsize=0.05, initial_const=20.0, abort_early=False
    )
    peer = foolbox.PyTorchModel(small_network(), bounds=(0, 1), device="cpu")
    theirs = attack.run(peer, images, foolbox.criteria.TargetedMisclassification(targets))
    their_success = ~(theirs == 0).flatten(1).all(dim=1)
    settings = protocol(iterations=59, learning_rate=0.05, constant=20.0)
    ours = carlini_wagner(victim, images, labels, settings, targets=targets)
    assert torch.equal(ours.success, their_success)
    found = ours.success
    assert found.any()
    assert torch.allclose(
        distances(ours.best, images)[found], distances(theirs, images)[found], rtol=0.01, atol=1e-3
    )


@pytest.mark.parametrize("targeted", [False, True])
def test_foolbox_decouples_direction_and_norm_in_the_same_way(targeted: bool) -> None:
    victim, images, labels = network_and_images(24)
    targets = (labels + 1) % 4 if targeted else None
    attack = foolbox.attacks.DDNAttack(init_epsilon=0.5, steps=40, gamma=0.05)
    peer = foolbox.PyTorchModel(small_network(), bounds=(0, 1), device="cpu")
    criterion = (
        foolbox.criteria.Misclassification(labels)
        if targets is None
        else foolbox.criteria.TargetedMisclassification(targets)
    )
    theirs = distances(attack.run(peer, images, criterion), images)
    settings = DDNSettings(steps=40, init_epsilon=0.5, gamma=0.05)
    ours = ddn(victim, images, labels, settings, targets=targets)
    assert ours.success.all()
    found = distances(ours.best, images)
    # Foolbox does not look at the image after the last step. Where that is not the nearest one,
    # both have seen the same images.
    nearest_is_last = (ours.best == ours.last).flatten(1).all(dim=1)
    assert not nearest_is_last.all()
    assert torch.allclose(found[~nearest_is_last], theirs[~nearest_is_last], rtol=1e-3)
    assert (found[nearest_is_last] <= theirs[nearest_is_last] * 1.001).all()


def test_art_fools_the_same_images_and_never_from_much_nearer() -> None:
    # ART descends by a line search instead of Adam, so distances agree at convergence only.
    from art.estimators.classification import PyTorchClassifier

    victim, images, labels = network_and_images(12)
    peer = PyTorchClassifier(
        small_network(),
        torch.nn.CrossEntropyLoss(),
        (3, 8, 8),
        4,
        clip_values=(0, 1),
        device_type="cpu",
    )
    attack = art_evasion.CarliniL2Method(
        peer,
        learning_rate=0.05,
        binary_search_steps=6,
        max_iter=40,
        initial_const=1.0,
        batch_size=12,
        verbose=False,
    )
    theirs = torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))
    their_success = victim.logits(theirs).argmax(dim=1) != labels
    settings = protocol(iterations=200, learning_rate=0.02, search_steps=6)
    ours = carlini_wagner(victim, images, labels, settings)
    assert torch.equal(ours.success, their_success) and ours.success.all()
    ratio = distances(ours.best, images) / distances(theirs, images)
    assert float(ratio.max()) < 1.05
    assert 0.75 < float(ratio.median()) < 1.02
