"""Training in two processes on the CPU, against one process with the same batches."""

import threading
import time

import numpy as np
import psutil
import pytest
import torch
from torch import nn
from torch.nn import functional

from squeezed.data import open_dataset
from squeezed.data.share import WHOLE, Share
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.foundation.settings import read_settings
from squeezed.networks import Classifier, create_classifier
from squeezed.networks.network_file import build_described
from squeezed.steps.network_step import edited
from squeezed.steps.train import card_of
from squeezed.training.batches import batch_length, training_batches
from squeezed.training.processes import train
from squeezed.training.settings import TrainingSettings
from squeezed.training.teacher import Teacher
from squeezed.training.team import Team

ARCHITECTURE = {
    "name": "vgg6",
    "arguments": {"widths": [4, 4, 4, 4, 8, 8], "hidden_features": [16, 16]},
    "weights": None,
}
TRAINING = {
    "epochs": 20,
    "batch_size": 30,
    "learning_rate": 0.05,
    "schedule": "one_cycle",
    "warmup_share": 0.2,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "label_smoothing": 0.1,
    "precision": "fp32",
    "augmentation": {
        "horizontal_flip": True,
        "crop_padding": 1,
        "resized_crop": None,
        "mixup": 0.0,
        "adversarial": 0.0,
    },
    "processes": 1,
}
MASKS = {"classifier.0.weight": torch.rand(16, 8, generator=torch.Generator().manual_seed(0)) < 0.5}
# Float sums are taken in another order: the curves agree to rounding, not to the bit.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """131 images of three classes that can be told apart; no batch size divides them."""
    generator = np.random.default_rng(0)
    splits = {}
    for split, n in {"train": 131, "validation": 41, "test": 11}.items():
        labels = generator.integers(0, 3, n)
        pixels = generator.integers(0, 120, (n, 3, 8, 8))
        pixels[np.arange(n), labels] += 60
        splits[split] = (pixels.astype(np.uint8), labels)
    path = tmp_path_factory.mktemp("data") / "colours.safetensors"
    write_tensor_dataset(
        path, name="colours", class_names=["red", "green", "blue"], splits=splits, source={}
    )
    return open_dataset(path)


def without_batch_norms(model):
    """The parameters to train so that batch norms stay frozen."""
    kinds = dict(model.network.named_modules())
    return [
        name
        for name, _ in model.network.named_parameters()
        if not isinstance(kinds[name.rpartition(".")[0]], nn.BatchNorm2d)
    ]


def settings_of(**changes):
    return read_settings(TrainingSettings, {**TRAINING, **changes})


def run(dataset, trainable=None, **changes):
    model = create_classifier(ARCHITECTURE, dataset, seed=1)
    options = {k: changes.pop(k) for k in ("resume_path", "masks", "teacher") if k in changes}
    if trainable == "no batch norms":
        trainable = without_batch_norms(model)
    result = train(
        model,
        dataset,
        settings_of(**changes),
        card=card_of(ARCHITECTURE, dataset, 1),
        seed=3,
        trainable=trainable,
        **options,
    )
    return model, result


def curve(result):
    return np.array([[r.train_loss, r.train_accuracy, r.validation_loss] for r in result.history])


def same_weights(one, other, **tolerance):
    return all(
        torch.allclose(tensor, other.state_dict()[name], **tolerance)
        for name, tensor in one.state_dict().items()
    )


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [1, 6, 7, 20])
def test_shares_cut_a_batch_without_gap_or_overlap(n, processes):
    shares = [Share(rank, processes).of(n) for rank in range(processes)]
    assert [i for share in shares for i in range(n)[share]] == list(range(n))
    lengths = [len(range(n)[share]) for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_an_image_is_augmented_alike_in_any_share(dataset):
    device = torch.device("cpu")

    def epoch(share):
        return list(training_batches(dataset.train, settings_of(), 5, device, share))

    whole, first, second = epoch(WHOLE), epoch(Share(0, 2)), epoch(Share(1, 2))
    assert len(whole) == len(first) == len(second) == 5
    for index, (all_of_it, *parts) in enumerate(zip(whole, first, second, strict=True)):
        for kind in (0, 1):
            assert torch.equal(all_of_it[kind], torch.cat([part[kind] for part in parts]))
        assert len(all_of_it[1]) == batch_length(len(dataset.train), 30, index)


def test_weighed_losses_average_to_the_whole_batch(dataset):
    losses = torch.tensor([1.0, 2.0, 6.0])
    parts = [losses[Share(rank, 2).of(3)] for rank in (0, 1)]
    weighed = [
        Team(Share(rank, 2)).weigh(part.mean(), len(part), 3) for rank, part in enumerate(parts)
    ]
    assert torch.stack(weighed).mean() == pytest.approx(float(losses.mean()))


@pytest.fixture(scope="module")
def together(dataset):
    """A training in two processes with frozen batch norms and a mask: (model, result)."""
    return run(dataset, "no batch norms", masks=MASKS, processes=2)


@pytest.mark.slow
def test_two_processes_draw_the_curve_of_one(dataset, together):
    reference, expected = run(dataset, "no batch norms", masks=MASKS)
    model, result = together
    np.testing.assert_allclose(curve(result), curve(expected), **TOLERANCE)
    assert result.best_epoch == expected.best_epoch
    assert same_weights(reference, model, rtol=1e-3, atol=1e-4)
    dropped = ~MASKS["classifier.0.weight"]
    assert torch.all(model.network.classifier[0].weight[dropped] == 0)
    # The comparison could not fail if nothing were learnt.
    assert expected.history[-1].train_loss < expected.history[0].train_loss - 0.05


@pytest.mark.slow
def test_a_teacher_teaches_all_processes(dataset):
    taught = create_classifier(ARCHITECTURE, dataset, seed=7)
    teacher = Teacher(taught.eval(), card_of(ARCHITECTURE, dataset, 7), 3.0, 0.6)
    reference, expected = run(dataset, "no batch norms", teacher=teacher, epochs=3)
    model, result = run(dataset, "no batch norms", teacher=teacher, epochs=3, processes=2)
    np.testing.assert_allclose(curve(result), curve(expected), **TOLERANCE)
    assert same_weights(reference, model, rtol=1e-3, atol=1e-4)
    untaught, _ = run(dataset, "no batch norms", epochs=3)
    assert not same_weights(untaught, model, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_an_edited_network_is_built_again_by_each_process(dataset):
    card = edited(card_of(ARCHITECTURE, dataset, 1), {"edit": "cut", "convolutions": 1})
    models = []
    for processes in (1, 2):
        model = build_described(card)
        model.load_state_dict({n: torch.full_like(t, 0.01) for n, t in model.state_dict().items()})
        settings = settings_of(processes=processes, epochs=1)
        train(model, dataset, settings, card=card, seed=3, trainable=["classifier"])
        models.append(model)
    assert same_weights(*models, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_batch_norms_use_the_statistics_of_each_share(dataset):
    changes = {"epochs": 1, "schedule": "constant", "momentum": 0.0}
    model, result = run(dataset, processes=2, **changes)
    reference, loss = one_epoch_by_shares(dataset, settings_of(**changes))
    assert result.history[0].train_loss == pytest.approx(loss, rel=1e-4)
    assert same_weights(model, reference, rtol=1e-3, atol=1e-4)


def one_epoch_by_shares(dataset, settings):
    """One epoch in one process: each half of a batch through batch norms of its own."""
    # The epoch's own seed is training's business: take it from there.
    from squeezed.training.optimisation import schedule, sgd
    from squeezed.training.run import derived_seed

    model: Classifier = create_classifier(ARCHITECTURE, dataset, seed=1).train()
    optimizer = sgd(list(model.parameters()), settings)
    share_of_peak = schedule(settings.schedule, 5, settings.warmup_share)
    total = 0.0
    batches = training_batches(dataset.train, settings, derived_seed(3, 1), torch.device("cpu"))
    for step, (images, labels) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * share_of_peak(step)
        optimizer.zero_grad()
        for rank in (0, 1):
            part = Share(rank, 2).of(len(labels))
            before = {name: buffer.clone() for name, buffer in model.named_buffers()}
            loss = functional.cross_entropy(
                model(images[part]),
                labels[part],
                label_smoothing=settings.label_smoothing,
                reduction="sum",
            )
            (loss / len(labels)).backward()
            total += float(loss.detach())
            if rank == 1:  # the running statistics are the first process's
                for name, buffer in model.named_buffers():
                    buffer.copy_(before[name])
        optimizer.step()
    return model.eval(), total / len(dataset.train)


@pytest.mark.slow
def test_a_killed_process_costs_one_epoch(dataset, together, tmp_path):
    resume_path = tmp_path / "resume.safetensors"
    victims = []

    def kill_the_second_process():
        while not victims:
            time.sleep(0.01)
            if resume_path.exists():
                victims.extend(kill_process_of_rank("1"))

    watcher = threading.Thread(target=kill_the_second_process, daemon=True)
    watcher.start()
    model, result = run(
        dataset, "no batch norms", masks=MASKS, processes=2, resume_path=resume_path
    )
    assert victims
    assert 0 < result.resumed_from_epoch < TRAINING["epochs"]
    undisturbed, expected = together
    np.testing.assert_array_equal(curve(result), curve(expected))
    assert same_weights(undisturbed, model, rtol=0, atol=0)
    assert not resume_path.exists()


def kill_process_of_rank(rank):
    """Kill the process below this one that torchrun gave this rank; return its id in a list."""
    for process in psutil.Process().children(recursive=True):
        try:
            if process.environ().get("RANK") == rank:
                process.kill()
                return [process.pid]
        except psutil.Error:
            continue
    return []
