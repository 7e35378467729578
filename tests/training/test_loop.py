"""Training: determinism, what is frozen or masked, the best epoch, and going on after a kill."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch.nn import functional

from squeezed.data import open_dataset
from squeezed.data.preparation import prepare_dataset
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.foundation.errors import UserError
from squeezed.foundation.settings import read_settings
from squeezed.foundation.workers import WORKERS_VARIABLE
from squeezed.networks import create_classifier
from squeezed.networks.network_file import load_network
from squeezed.training.batches import augment, batches_per_epoch, training_batches
from squeezed.training.loop import evaluate_split, run_epochs, write_history
from squeezed.training.optimisation import schedule
from squeezed.training.settings import AugmentationSettings, TrainingSettings
from tests.made_sources import PROJECT, class_files, dataset_settings, write_folder

ARCHITECTURE = {
    "name": "vgg6",
    "arguments": {"widths": [4, 4, 8, 8], "hidden_features": [16, 8]},
    "weights": None,
}
SETTINGS = {
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 0.05,
    "schedule": "one_cycle",
    "warmup_share": 0.2,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "label_smoothing": 0.0,
    "precision": "fp32",
    "processes": 1,
    "augmentation": {
        "horizontal_flip": False,
        "crop_padding": 1,
        "resized_crop": None,
        "mixup": 0.0,
        "adversarial": 0.0,
    },
}


def easy_images(n, generator):
    """Three classes that differ in which channel is bright; (n, 3, 8, 8)."""
    labels = np.arange(n) % 3
    images = generator.integers(0, 120, (n, 3, 8, 8))
    images[np.arange(n), labels] += 100
    return images.astype(np.uint8), labels.astype(np.int64)


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "easy.safetensors"
    generator = np.random.default_rng(0)
    counts = {"train": 90, "validation": 30, "test": 30}
    write_tensor_dataset(
        path,
        name="easy",
        class_names=["red", "green", "blue"],
        splits={split: easy_images(n, generator) for split, n in counts.items()},
        source={"kind": "made up", "name": "easy"},
    )
    return path


@pytest.fixture(scope="module")
def dataset(dataset_path):
    return open_dataset(dataset_path)


def settings_of(**changes):
    return read_settings(TrainingSettings, {**SETTINGS, **changes})


def trained(dataset, seed=0, model=None, **changes):
    model = model or create_classifier(ARCHITECTURE, dataset, seed=seed)
    options = {k: changes.pop(k) for k in ("masks", "trainable", "resume_path") if k in changes}
    return model, run_epochs(model, dataset, settings_of(**changes), seed=seed, **options)


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_it_learns(dataset):
    model, result = trained(dataset, epochs=8)
    assert result.validation_accuracy > 0.9
    loss, accuracy = evaluate_split(model, dataset.test, torch.device("cpu"))
    assert accuracy > 0.9
    assert result.history[-1].train_loss < 0.7 * result.history[0].train_loss
    assert not model.training
    assert loss < 0.5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_bytes(dataset, precision):
    first, result = trained(dataset, precision=precision)
    second, again = trained(dataset, precision=precision)
    assert same(state_of(first), state_of(second))
    assert result.history == again.history
    other, _ = trained(dataset, seed=1, precision=precision)
    assert not same(state_of(first), state_of(other))


def test_what_others_drew_from_the_global_generator_changes_nothing(dataset):
    first, _ = trained(dataset)
    torch.manual_seed(99)
    torch.rand(7)
    second, _ = trained(dataset)
    assert same(state_of(first), state_of(second))


def test_one_step_is_sgd_s(dataset):
    """One batch, one epoch: the same as Nesterov's rule by hand, no decay on biases and norms."""
    settings = {
        "epochs": 1,
        "batch_size": 90,
        "schedule": "constant",
        "warmup_share": 0.0,
        "augmentation": {**SETTINGS["augmentation"], "crop_padding": 0},
        "label_smoothing": 0.1,
    }
    reference = create_classifier(ARCHITECTURE, dataset, seed=0).train()
    images = torch.from_numpy(dataset.train.images())
    labels = torch.from_numpy(dataset.train.labels)
    functional.cross_entropy(reference(images), labels, label_smoothing=0.1).backward()
    expected = {}
    for name, parameter in reference.network.named_parameters():
        decay = SETTINGS["weight_decay"] if parameter.ndim > 1 else 0.0
        gradient = parameter.grad + decay * parameter
        # At the first step the momentum buffer is the gradient itself.
        expected[name] = parameter - SETTINGS["learning_rate"] * (gradient + 0.9 * gradient)
    model, _ = trained(dataset, **settings)
    for name, parameter in model.network.named_parameters():
        assert torch.allclose(parameter, expected[name], atol=1e-5), name


def test_masked_weights_stay_zero_and_others_move(dataset):
    model = create_classifier(ARCHITECTURE, dataset, seed=0)
    generator = torch.Generator().manual_seed(0)
    masks = {
        name: torch.rand(parameter.shape, generator=generator) < 0.5
        for name, parameter in model.network.named_parameters()
        if parameter.ndim > 1
    }
    before = state_of(model)
    trained(dataset, model=model, masks=masks)
    after = state_of(model)
    for name, kept in masks.items():
        assert (after[name][~kept] == 0).all()
        assert (after[name][kept] != before[name][kept]).float().mean() > 0.9


def test_only_what_is_trainable_moves_batch_norms_included(dataset):
    model = create_classifier(ARCHITECTURE, dataset, seed=0)
    before = state_of(model)
    trained(dataset, model=model, trainable=["classifier"])
    after = state_of(model)
    for name in before:
        frozen = name.startswith("features")
        assert torch.equal(before[name], after[name]) == frozen, name
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_names_that_fit_nothing_are_refused(dataset):
    with pytest.raises(ValueError, match="'clasifier'"):
        trained(dataset, trainable=["clasifier"])
    with pytest.raises(ValueError, match="'features'"):
        trained(dataset, masks={"features": torch.ones(3, dtype=torch.bool)})


def test_the_best_epoch_is_the_validation_s(dataset):
    model, result = trained(dataset, epochs=6, learning_rate=0.2, schedule="constant")
    accuracies = [record.validation_accuracy for record in result.history]
    assert result.validation_accuracy == max(accuracies)
    best = result.history[result.best_epoch - 1]
    loss, accuracy = evaluate_split(model, dataset.validation, torch.device("cpu"))
    assert accuracy == best.validation_accuracy
    assert loss == pytest.approx(best.validation_loss, rel=1e-4)


def test_the_test_images_are_not_looked_at(dataset):
    class Blind:
        """A data set whose test split must not be touched."""

        train, validation, digest = dataset.train, dataset.validation, dataset.digest
        class_names, image_size = dataset.class_names, dataset.image_size
        mean, std = dataset.mean, dataset.std

        @property
        def test(self):
            raise AssertionError("training read the test images")

    trained(Blind(), epochs=1)


def test_a_training_that_diverges_says_so(dataset):
    with pytest.raises(UserError, match="the training diverged in epoch 1"):
        trained(dataset, learning_rate=1e20)


def test_no_epochs_leave_the_weights_as_they_are(dataset):
    model = create_classifier(ARCHITECTURE, dataset, seed=0)
    before = state_of(model)
    _, result = trained(dataset, model=model, epochs=0)
    assert same(before, state_of(model))
    assert (result.best_epoch, result.history) == (0, [])
    _, accuracy = evaluate_split(model, dataset.validation, torch.device("cpu"))
    assert result.validation_accuracy == accuracy


@pytest.mark.parametrize("name", ["one_cycle", "cosine", "constant"])
def test_schedules_rise_and_fall(name):
    share = schedule(name, 100, 0.2)
    values = [share(step) for step in range(100)]
    assert all(0 < value <= 1 for value in values)
    assert all(a < b for a, b in itertools.pairwise(values[:20]))
    if name == "constant":
        assert set(values[20:]) == {1.0}
    else:
        assert all(a > b for a, b in itertools.pairwise(values[20:]))
        assert values[-1] < 0.01


def test_an_epoch_shows_each_image_once_in_batches_of_like_size(dataset):
    augmentation = {**SETTINGS["augmentation"], "crop_padding": 0}
    settings = settings_of(batch_size=32, augmentation=augmentation)

    def epoch(seed):
        return list(training_batches(dataset.train, settings, seed, torch.device("cpu")))

    batches = epoch(5)
    assert len(batches) == batches_per_epoch(90, 32) == 3
    assert {len(labels) for _, labels in batches} == {30}
    seen = torch.cat([images for images, _ in batches])
    as_bytes = {(image * 255).round().byte().contiguous().numpy().tobytes() for image in seen}
    assert as_bytes == {image.tobytes() for image in dataset.train.pixels}
    assert seen.dtype == torch.float32
    assert seen.min() >= 0 and seen.max() <= 1
    first, other = (torch.cat([labels for _, labels in epoch(seed)]) for seed in (5, 6))
    assert not torch.equal(first, other)


def test_augmentation_shifts_and_mirrors_by_hand():
    generator = torch.Generator().manual_seed(0)
    batch = torch.randint(0, 256, (64, 3, 6, 5), dtype=torch.uint8, generator=generator)
    settings = AugmentationSettings(True, 2, None, 0.0, 0.0)
    augmented = augment(batch, settings, torch.Generator().manual_seed(1))
    replay = torch.Generator().manual_seed(1)
    rows, columns = torch.randint(0, 5, (2, 64), generator=replay)
    mirrored = torch.rand(64, generator=replay) < 0.5
    for image in range(64):
        padded = np.pad(batch[image].numpy(), ((0, 0), (2, 2), (2, 2)), mode="reflect")
        row, column = int(rows[image]), int(columns[image])
        expected = padded[:, row : row + 6, column : column + 5]
        if mirrored[image]:
            expected = expected[:, :, ::-1]
        assert np.array_equal(augmented[image].numpy(), expected)
    assert 0 < mirrored.sum() < 64


def test_without_augmentation_images_stay():
    batch = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    settings = AugmentationSettings(False, 0, None, 0.0, 0.0)
    assert torch.equal(augment(batch, settings, torch.Generator()), batch)


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streamed")
    root = write_folder(folder / "images", class_files(train=8, size=(12, 14)))
    source = {"kind": "folder", "path": str(root)}
    settings = dataset_settings(source=source, storage="files", resize=10, crop=8)
    prepare_dataset("set", settings, folder / "set.safetensors", folder / "downloads")
    return open_dataset(folder / "set.safetensors"), root


def test_streamed_images_train_a_network(streamed):
    dataset, _ = streamed
    model, result = trained(dataset, epochs=1, batch_size=8)
    assert len(result.history) == 1
    assert result.history[0].train_loss > 0
    assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 2)


@pytest.mark.slow  # torchvision takes seconds to import
def test_crops_do_not_depend_on_the_number_of_workers(streamed, monkeypatch):
    dataset, _ = streamed
    augmentation = {**SETTINGS["augmentation"], "horizontal_flip": True, "crop_padding": 0}
    augmentation["resized_crop"] = 0.3
    settings = settings_of(batch_size=4, augmentation=augmentation)

    def epoch(workers, seed):
        monkeypatch.setenv(WORKERS_VARIABLE, str(workers))
        torch.manual_seed(workers)
        batches = training_batches(dataset.train, settings, seed, torch.device("cpu"))
        return torch.cat([images for images, _ in batches])

    alone = epoch(0, seed=1)
    assert torch.equal(alone, epoch(2, seed=1))
    assert not torch.equal(alone, epoch(2, seed=2))
    assert alone.shape == (14, 3, 8, 8)


def test_an_unreadable_streamed_image_gets_one_sentence(streamed, tmp_path):
    dataset, root = streamed
    victim = root / dataset.train.paths[3]
    content = victim.read_bytes()
    victim.write_bytes(b"damaged")
    try:
        with pytest.raises(UserError, match=f"{victim.name} cannot be read") as error:
            trained(dataset, epochs=1)
    finally:
        victim.write_bytes(content)
    assert "\n" not in str(error.value)
    assert "Traceback" not in str(error.value)


def test_resized_crops_need_streamed_images(dataset):
    augmentation = {**SETTINGS["augmentation"], "resized_crop": 0.5}
    with pytest.raises(UserError, match="`resized_crop` needs a data set of storage `files`"):
        trained(dataset, augmentation=augmentation)


class Stopped(Exception):
    """Stands for whatever ends a training between two epochs."""


@pytest.fixture
def stopping_after(monkeypatch):
    """Have the training stop when it starts the epoch after the given one."""

    def arrange(epochs):
        from squeezed.training import run as training_run

        original = training_run.TrainingRun.epoch

        def epoch(self, number):
            if number > epochs:
                raise Stopped
            original(self, number)

        monkeypatch.setattr(training_run.TrainingRun, "epoch", epoch)

    yield arrange


@pytest.mark.parametrize("finished", [1, 3])
def test_a_stopped_training_goes_on_to_the_same_end(
    dataset, tmp_path, stopping_after, monkeypatch, finished
):
    whole, expected = trained(dataset, epochs=4)
    path = tmp_path / "resume.safetensors"
    stopping_after(finished)
    with pytest.raises(Stopped):
        trained(dataset, epochs=4, resume_path=path)
    monkeypatch.undo()
    assert path.exists()
    resumed, result = trained(dataset, epochs=4, resume_path=path)
    assert result.resumed_from_epoch == finished
    assert same(state_of(whole), state_of(resumed))
    assert result.history == expected.history
    assert not path.exists(), "the resume file must go when the training ends"


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.04},
        {"epochs": 5},
        {"seed": 1},
        {"trainable": ["classifier"]},
        {"masks": {"features.0.weight": torch.zeros(4, 3, 3, 3, dtype=torch.bool)}},
        "data",
        "start",
        "damage",
    ],
)
def test_a_stale_state_is_never_used(dataset, tmp_path, stopping_after, monkeypatch, change):
    path = tmp_path / "resume.safetensors"
    stopping_after(1)
    with pytest.raises(Stopped):
        trained(dataset, epochs=4, resume_path=path)
    monkeypatch.undo()
    options = {"epochs": 4, **(change if isinstance(change, dict) else {})}
    if change == "data":
        monkeypatch.setattr(dataset, "digest", "another")
    if change == "start":
        options["model"] = create_classifier(ARCHITECTURE, dataset, seed=0)
        with torch.no_grad():
            options["model"].network.classifier[0].bias[0] = 1.0
    if change == "damage":
        path.write_bytes(path.read_bytes()[:1000])
    _, result = trained(dataset, resume_path=path, **options)
    assert result.resumed_from_epoch == 0
    assert len(result.history) == options["epochs"]


PROGRAM = """
import json, logging, sys
from pathlib import Path
from squeezed.foundation.settings import read_settings
from squeezed.data import open_dataset
from squeezed.networks.network_file import save_network
from squeezed.steps.step import Workshop
from squeezed.steps.train import train
from squeezed.training.loop import write_history
from squeezed.training.settings import TrainingSettings

logging.basicConfig(level=logging.INFO)
path, folder = sys.argv[1], Path(sys.argv[2])
architecture, settings = map(json.loads, sys.argv[3:])
resume_path = folder / ".resume.safetensors"
workshop = Workshop(open_dataset(path), 0, "cpu", 1, resume_path, architecture)
made = train(None, None, read_settings(TrainingSettings, settings), workshop)
write_history(folder / "history.csv", made.training)
save_network(folder / "network.safetensors", made.model, made.card)
"""


def start_program(dataset_path, folder, epochs):
    settings = {**SETTINGS, "epochs": epochs}
    command = [sys.executable, "-c", PROGRAM, str(dataset_path), str(folder)]
    command += [json.dumps(ARCHITECTURE), json.dumps(settings)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_job_that_is_killed_resumes_and_ends_with_the_same_weights(
    dataset, dataset_path, tmp_path
):
    """A real `kill -9` of the real step, in the middle of its epochs."""
    epochs = 25
    whole, expected = trained(dataset, epochs=epochs)
    victim = start_program(dataset_path, tmp_path, epochs)
    resume = tmp_path / ".resume.safetensors"
    deadline = time.monotonic() + 300
    while not resume.exists() and time.monotonic() < deadline:
        assert victim.poll() is None, "the job ended before it could be killed"
        time.sleep(0.002)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    assert not (tmp_path / "network.safetensors").exists()

    again = start_program(dataset_path, tmp_path, epochs)
    _, log = again.communicate()
    assert again.returncode == 0
    assert "resumed after epoch" in log
    model, _ = load_network(tmp_path / "network.safetensors")
    assert same(state_of(model), state_of(whole))
    write_history(tmp_path / "expected.csv", expected)
    assert (tmp_path / "history.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert not resume.exists()
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, epochs + 1))
