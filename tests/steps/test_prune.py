"""Recovery holds the masks; removed channels are gone; the search finds the largest amount."""

import pytest
import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.networks import Classifier, build_network
from squeezed.steps import ablate, factorize
from squeezed.steps import prune as step
from squeezed.steps.prune import PruneSettings, prune, structure
from squeezed.training.loop import TrainingResult
from tests.steps.networks import CLASSES, MEAN, SIZE, STD, disturb, images, tiny_vgg
from tests.steps.workshop import stored, tiny_card, training


def settings(**changes):
    fields = {
        "amount": 0.3,
        "granularity": "slice",
        "ranking": "layer",
        "remove": False,
        "round_to": 2,
        "maximum_drop": 0.05,
        "search_step": 0.1,
        "teacher_weight": 0.0,
        "temperature": 4.0,
        "recovery": training(),
    }
    return PruneSettings(**{**fields, **changes})


def test_masks_hold_through_recovery(workshop, tmp_path):
    parent = tiny_vgg()
    _, masks = structure(parent, tiny_card(), settings())
    made = prune(parent, tiny_card(), settings(), workshop)
    for name, mask in masks.items():
        weight = made.model.network.get_parameter(name)
        assert (weight[~mask] == 0).all()
        assert (weight[mask] != parent.network.get_parameter(name)[mask]).any(), "it trained"
    zeros = sum(int((~mask).sum()) for mask in masks.values())
    assert made.metrics["pruned_weights"] == zeros
    assert made.metrics["tried_amounts"] == [0.3]
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_removed_channels_are_gone_from_the_file_too(workshop, tmp_path, weight):
    chosen = settings(remove=True, amount=0.5, teacher_weight=weight)
    parent = tiny_vgg()
    made = prune(parent, tiny_card(), chosen, workshop)
    network = made.model.network
    assert [network.features[k].out_channels for k in (0, 3, 7, 10)] == [2, 4, 4, 4]
    assert [network.classifier[k].out_features for k in (0, 2, 4)] == [6, 6, 5]
    assert made.metrics["removed_channels"] == 24 - 14 + 22 - 12
    lost = sum(p.numel() for p in parent.parameters()) - sum(
        p.numel() for p in made.model.parameters()
    )
    assert made.metrics["removed_parameters"] == lost > 0
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))


def test_a_teacher_changes_what_is_learnt(workshop):
    alone, taught = (
        prune(tiny_vgg(), tiny_card(), settings(teacher_weight=weight), workshop)
        for weight in (0.0, 0.9)
    )
    first, second = (made.model.network.classifier[4].weight for made in (alone, taught))
    assert not torch.equal(first, second)


def _recovery_that_reaches(accuracy_of_amount, monkeypatch):
    """Replace training: the accuracy after recovery is a known function of the amount."""
    tried = []
    monkeypatch.setattr(step, "evaluate_split", lambda *a, **k: (0.0, 0.9))
    original = step.structure

    def noted(parent, card, chosen):
        tried.append(chosen.amount)
        return original(parent, card, chosen)

    monkeypatch.setattr(step, "structure", noted)
    monkeypatch.setattr(
        step,
        "train_in",
        lambda *a, **k: TrainingResult([], 1, accuracy_of_amount(tried[-1]), "cpu", "fp32"),
    )


@pytest.mark.parametrize("limit", [0.05, 0.1, 0.35, 0.55, 0.95])
def test_the_search_finds_the_largest_amount(limit, workshop, monkeypatch):
    _recovery_that_reaches(lambda amount: 0.9 if amount <= limit else 0.5, monkeypatch)
    found = prune(tiny_vgg(), tiny_card(), settings(amount="auto", search_step=0.05), workshop)
    assert found.metrics["amount"] == pytest.approx(limit)
    assert found.metrics["trials"] == len(found.metrics["tried_amounts"]) <= 5, "of 19 amounts"


def test_a_search_in_vain_says_so(workshop, monkeypatch):
    _recovery_that_reaches(lambda amount: 0.1, monkeypatch)
    found = prune(tiny_vgg(), tiny_card(), settings(amount="auto"), workshop)
    assert found.metrics["amount"] == pytest.approx(0.1)
    assert found.metrics["tried_within_drop"] == [False] * found.metrics["trials"]


def test_an_amount_in_other_words_is_refused():
    with pytest.raises(UserError, match="choose a share, or 'auto'"):
        structure(tiny_vgg(), tiny_card(), settings(amount="half"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("resnet18", 32), ("googlenet", 64)])
def test_channels_of_other_networks(tmp_path, name, size):
    network = build_network(name, num_classes=CLASSES, image_size=(size, size))
    parent = Classifier(disturb(network), MEAN, STD).eval()
    chosen = settings(remove=True, amount=0.5, round_to=8)
    made, masks = structure(parent, tiny_card(name, {}, (size, size)), chosen)
    assert masks == {}
    share = made.metrics["removed_channels"] / made.metrics["removable_channels"]
    assert 0.45 < share < 0.55
    kept = [m.out_channels for m in made.model.modules() if isinstance(m, nn.Conv2d)]
    assert all(channels % 8 == 0 for channels in kept)
    batch = images(3, (size, size))
    assert torch.equal(stored(made, tmp_path)(batch), made.model.eval()(batch))


@pytest.mark.slow
def test_a_residual_network_recovers_without_its_channels(workshop, tmp_path):
    network = build_network("resnet_cifar", num_classes=CLASSES, image_size=SIZE)
    parent = Classifier(disturb(network), MEAN, STD).eval()
    chosen = settings(remove=True, amount=0.5, round_to=8, teacher_weight=0.5)
    made = prune(parent, tiny_card("resnet_cifar", {}), chosen, workshop)
    assert made.training.best_epoch == 1
    assert torch.equal(stored(made, tmp_path)(images(3)), made.model(images(3)))


def test_edits_follow_each_other(workshop, tmp_path):
    """A cut, smaller and factorized network comes back: the chain is replayed in order."""
    cut, _ = ablate.structure(
        tiny_vgg(), tiny_card(), ablate.AblateSettings(1, None, training()), 0
    )
    smaller, _ = structure(cut.model, cut.card, settings(remove=True, amount=0.5))
    low_rank = factorize.structure(
        smaller.model, smaller.card, factorize.FactorizeSettings(0.25, None, training())
    )
    again, _ = structure(low_rank.model, low_rank.card, settings(remove=True, round_to=1))
    verbs = [edit["edit"] for edit in again.card.edits]
    assert verbs == ["cut", "remove", "factorize", "remove"]
    assert torch.equal(stored(again, tmp_path)(images(3)), again.model.eval()(images(3)))
