"""The rehearsal says before any training what an experiment's architecture and numbers decide."""

import copy

import numpy as np
import pytest
import torch
from onnxruntime.quantization import quantize_dynamic

import squeezed.rehearsal
from squeezed.configuration.recipes import recipes_of
from squeezed.data import open_dataset
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.foundation.errors import UserError
from squeezed.rehearsal import pass_ms_per_image, rehearse, rehearsed
from squeezed.training.batches import batch_length, batches_per_epoch, smallest_share
from tests.configuration.test_recipes import experiment
from tests.foreign.models import classifier, saved

SIZE = (16, 16)
TINY = {"name": "vgg6", "arguments": {"widths": [4, 4, 4, 4, 8, 8], "hidden_features": [16, 16]}}
ONE_BY_ONE = {"name": "resnet18", "arguments": {}}
"""Its last maps are 1×1 for images of 16×16, and batch norms follow them."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """21 training images: batches of at most 2 leave one of a single image."""
    generator = np.random.default_rng(0)
    counts = {"train": 21, "validation": 6, "test": 20}
    splits = {
        name: (
            generator.integers(0, 256, (n, 3, *SIZE)).astype(np.uint8),
            np.arange(n) % 2,
        )
        for name, n in counts.items()
    }
    path = tmp_path_factory.mktemp("data") / "noise.safetensors"
    write_tensor_dataset(path, name="noise", class_names=["a", "b"], splits=splits, source={})
    return open_dataset(path)


def section(architecture, variants=None, **training):
    none = {"pruned": None, "quantized": None, "linear_quantized": None, "ablated": None}
    whole = experiment(variants or none, architecture=architecture, training=training)
    return copy.deepcopy(whole)


def baseline_of(wanted, dataset):
    (made,) = rehearsed(wanted, dataset)
    return made


@pytest.mark.parametrize("batch_size", [1, 2])
def test_batch_norms_of_single_values_are_refused_before_training(dataset, batch_size):
    """Batches of 1; or of 2 at most, of which an odd number of images leaves one alone."""
    with pytest.raises(UserError) as error:
        baseline_of(section(ONE_BY_ONE, batch_size=batch_size), dataset)
    said = str(error.value)
    assert "'baseline'" in said
    assert "set `batch_size` to at least 4" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("architecture", "training"),
    [
        (TINY, {"batch_size": 1}),  # maps that have not shrunk to one value
        pytest.param(ONE_BY_ONE, {"batch_size": 4}, marks=pytest.mark.slow),
        # Nothing is trained.
        pytest.param(ONE_BY_ONE, {"batch_size": 1, "epochs": 0}, marks=pytest.mark.slow),
    ],
)
def test_what_can_be_trained_passes(dataset, architecture, training):
    assert baseline_of(section(architecture, **training), dataset).network


def test_files_of_others_need_no_architecture(dataset, tmp_path):
    source, target = saved(classifier(size=SIZE, classes=2), tmp_path), tmp_path / "int8.onnx"
    quantize_dynamic(source, target)
    recipes = {
        "baseline": {"step": "import", "path": str(source)},
        "int8": {"step": "import", "path": str(target)},
    }
    wanted = experiment(recipes) | {"architecture": None}
    made = {each.recipe.name: each for each in rehearsed(wanted, dataset)}
    assert list(made) == ["baseline", "int8"] and made["int8"].network is None


def test_more_processes_than_images_of_a_batch_are_refused(dataset):
    with pytest.raises(UserError, match="set `processes` to at most 5"):
        baseline_of(section(TINY, batch_size=6, processes=6), dataset)


@pytest.mark.parametrize("images", [1, 2, 5, 21, 64])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 6, 100])
def test_the_smallest_share_is_that_of_the_real_batches(images, batch_size):
    batches = range(batches_per_epoch(images, batch_size))
    sizes = [batch_length(images, batch_size, index) for index in batches]
    assert sum(sizes) == images
    assert smallest_share(images, batch_size, 1) == min(sizes)


@pytest.mark.slow
def test_a_rehearsed_epoch_moves_no_weight_far(dataset):
    """Else a learning rate that is right with its rise could end a rehearsal in NaN."""
    made = baseline_of(section(TINY, learning_rate=100.0), dataset)
    model, _ = made.network
    untrained = baseline_of(section(TINY, epochs=0), dataset).network[0]
    before = dict(untrained.network.named_parameters())
    for name, parameter in model.network.named_parameters():
        assert torch.allclose(parameter, before[name], atol=1e-3), name


@pytest.mark.slow
def test_every_variant_of_the_paper_is_rehearsed(dataset):
    wanted = section(TINY, {"quantized": {}})
    assert {made.recipe.name for made in rehearsed(wanted, dataset)} == set(recipes_of(wanted))


def test_an_images_pass_is_the_median_batch_after_the_first(monkeypatch):
    """Batches of 8 that take 100 s, then 8, 40 and 16 s: 2 s for each image."""
    clock = iter([0, 100, 100, 108, 108, 148, 148, 164])
    shapes = []

    def twin(images):
        shapes.append(tuple(images.shape))

    monkeypatch.setattr(squeezed.rehearsal, "build_twin", lambda graph: twin)
    monkeypatch.setattr(squeezed.rehearsal.time, "perf_counter", lambda: next(clock))
    assert pass_ms_per_image(None, (5, 7)) == 2000.0
    assert shapes == [(8, 3, 5, 7)] * 4


SUMMARY = {
    "name": "noise",
    "n_classes": 2,
    "n_train": 21,
    "n_validation": 6,
    "n_test": 20,
    "image_height": 16,
    "image_width": 16,
    "class_names": ["a", "b"],
    "n_test_of_each_class": [10, 10],
}


def test_what_the_data_cannot_bear_is_said_first(dataset):
    summary = SUMMARY | {"n_classes": 1, "class_names": ["a"], "n_test_of_each_class": [20]}
    with pytest.raises(UserError, match="single class"):
        rehearse(section(TINY), dataset, summary)


def explained(variants=None, **changes):
    """A tiny experiment whose maps and features need no more than 20 test images."""
    wanted = section(TINY, variants, epochs=0)
    wanted["tsne"] |= {"perplexity": 3, "neighbours": 3}
    for place, value in changes.items():
        analysis, _, key = place.partition("_")
        wanted[analysis][key] = value
    return wanted


def test_layers_that_the_network_has_are_found(dataset):
    wanted = explained(embedding_layer="classifier.1", cam_layer="features.14")
    assert rehearse(wanted, dataset, SUMMARY).notes == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"embedding_layer": "clasifier.1"}, "embedding.layer is 'clasifier.1', but the network"),
        ({"cam_layer": "features.99"}, "cam.layer is 'features.99', but the network has no such"),
        ({"cam_layer": "classifier.1"}, "cam.layer is 'classifier.1', which gives (n, 16) instead"),
    ],
)
def test_a_layer_that_is_named_and_not_there_is_refused_before_training(dataset, changes, sentence):
    with pytest.raises(UserError) as error:
        rehearse(explained(**changes), dataset, SUMMARY)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_layer_that_nothing_reads_may_have_any_name(dataset):
    wanted = explained(cam_layer="features.99", cam_methods=["guided_backprop"])
    assert rehearse(wanted, dataset, SUMMARY).notes == []


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: np.save(path, np.ones((7, *SIZE))), "has shape (7, 16, 16), but the test im"),
        (lambda path: np.savez(path.open("wb"), np.ones(1)), "holds several arrays"),
        (lambda path: path.write_bytes(b""), "is not a readable .npy file"),
        (lambda path: path.write_text("ink"), "is not a readable .npy file"),
    ],
)
def test_masks_that_do_not_fit_the_test_images_are_refused(dataset, tmp_path, write, sentence):
    path = tmp_path / "masks.npy"
    write(path)
    wanted = explained(cam_object="masks", cam_masks=str(path))
    with pytest.raises(UserError) as error:
        rehearse(wanted, dataset, SUMMARY)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_layer_that_ablation_takes_away_is_noted_or_refused(dataset):
    """Grad-CAM leaves a variant out; an embedding that cannot be compared is of no use."""
    ablated = {"pruned": None, "quantized": None, "linear_quantized": None, "ablated": {}}
    (note,) = rehearse(explained(ablated, cam_layer="features.19"), dataset, SUMMARY).notes
    assert note.startswith("ablated: cam.layer is 'features.19'")
    with pytest.raises(UserError, match="variant 'ablated' cannot be embedded"):
        rehearse(explained(ablated, embedding_layer="features.19"), dataset, SUMMARY)
