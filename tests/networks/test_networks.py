"""The architectures: shapes, parameters, refusals, and weights from elsewhere."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.utils import prune

from squeezed.foundation.errors import UserError
from squeezed.networks import build_network, create_classifier
from squeezed.networks.network_file import load_network, save_network
from squeezed.networks.pretrained import read_state
from squeezed.networks.vgg6 import VGG6
from squeezed.steps.train import card_of


@dataclass
class ThreeClasses:
    """What `create_classifier` asks of a data set."""

    class_names = ("a", "b", "c")
    image_size = (32, 32)
    mean = (0.4, 0.5, 0.6)
    std = (0.2, 0.2, 0.3)


RUNNING = ("running_mean", "running_var")


def architecture(name="vgg6", weights=None, **arguments):
    return {"name": name, "arguments": arguments, "weights": weights}


def trainable(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def test_vgg6_is_the_paper_s():
    network = VGG6(10)
    assert trainable(network) == 2_737_690
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [
        (2048, 1024),
        (1024, 512),
        (512, 10),
    ]
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [16, 16, 32, 32, 64, 128]
    assert all(m.bias is not None and m.kernel_size == (3, 3) for m in convolutions)
    outside = trainable(network) - sum(trainable(m) for m in linear)
    running = sum(b.numel() for n, b in network.named_buffers() if n.split(".")[-1] in RUNNING)
    assert (outside, running) == (109_584, 576)


@pytest.mark.parametrize("size", [(8, 8), (9, 15), (32, 32), (33, 40)])
def test_vgg6_takes_images_of_at_least_eight(size):
    network = VGG6(3, size).eval()
    assert network(torch.zeros(2, 3, *size)).shape == (2, 3)


def test_vgg6_refuses_smaller_images():
    with pytest.raises(UserError, match="too small for vgg6"):
        build_network("vgg6", num_classes=3, image_size=(7, 32))


def test_vgg6_takes_other_widths():
    arguments = {"widths": [4, 4, 8, 8], "hidden_features": [16, 8]}
    network = build_network("vgg6", num_classes=3, image_size=(8, 8), arguments=arguments)
    assert network.eval()(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
    with pytest.raises(UserError, match=r"architecture vgg6: .*breadth"):
        build_network("vgg6", num_classes=3, image_size=(8, 8), arguments={"breadth": 2})


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, same, other = (
        create_classifier(architecture(), ThreeClasses(), seed=seed) for seed in (5, 5, 6)
    )
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), same.parameters(), strict=True)
    )
    assert not torch.equal(first.network.classifier[0].weight, other.network.classifier[0].weight)


def test_making_a_classifier_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    create_classifier(architecture(), ThreeClasses(), seed=0)
    assert torch.equal(torch.rand(4), expected)


def test_the_weights_are_he_s():
    network = create_classifier(architecture(), ThreeClasses(), seed=0).network
    layer = network.classifier[0]
    assert layer.weight.std().item() == pytest.approx(np.sqrt(2 / 2048), rel=0.01)
    assert not layer.bias.any()


def test_normalisation_is_inside():
    model = create_classifier(architecture(), ThreeClasses(), seed=0).eval()
    images = torch.rand(2, 3, 32, 32)
    mean = torch.tensor(ThreeClasses.mean).view(1, 3, 1, 1)
    std = torch.tensor(ThreeClasses.std).view(1, 3, 1, 1)
    assert torch.equal(model(images), model.network((images - mean) / std))


@pytest.fixture
def checkpoint(tmp_path):
    network = VGG6(3)
    torch.nn.init.normal_(network.classifier[4].weight)
    return network, tmp_path


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "_orig_mod.module.", "model._orig_mod."]
)
@pytest.mark.parametrize("form", ["plain", "nested", "safetensors"])
def test_a_checkpoint_of_the_user_s_is_loaded(checkpoint, form, prefix):
    network, folder = checkpoint
    state = network.state_dict()
    stored = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    path = folder / ("mine.safetensors" if form == "safetensors" else "mine.pth")
    if form == "safetensors":
        save_file(stored, path)
    elif form == "nested":
        torch.save({"epoch": 3, "state_dict": stored}, path)
    else:
        torch.save(stored, path)
    model = create_classifier(
        architecture(weights=str(path)), ThreeClasses(), seed=0, trained=False
    )
    loaded = model.network.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_a_pruned_checkpoint_is_multiplied_out(checkpoint):
    network, folder = checkpoint
    layer = network.classifier[0]
    prune.random_unstructured(layer, "weight", amount=0.5)
    torch.save(network.state_dict(), folder / "mine.pth")
    weights = str(folder / "mine.pth")
    model = create_classifier(architecture(weights=weights), ThreeClasses(), seed=0, trained=False)
    loaded = model.network.classifier[0].weight
    assert torch.equal(loaded, layer.weight)
    assert 0.45 < float((loaded == 0).float().mean()) < 0.55


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("trained", [True, False])
def test_weights_that_are_no_numbers_are_refused(checkpoint, value, trained):
    network, folder = checkpoint
    state = network.state_dict()
    state["features.4.running_var"][1] = value
    torch.save(state, folder / "mine.pth")
    weights = str(folder / "mine.pth")
    with pytest.raises(UserError, match=r"features\.4\.running_var holds NaN or infinity"):
        create_classifier(architecture(weights=weights), ThreeClasses(), seed=0, trained=trained)


def test_without_training_the_last_layer_must_fit(checkpoint):
    _, folder = checkpoint
    torch.save(VGG6(7).state_dict(), folder / "seven.pth")
    weights = str(folder / "seven.pth")
    with pytest.raises(UserError, match="is for 7 classes and the data set has 3: train") as error:
        create_classifier(architecture(weights=weights), ThreeClasses(), seed=0, trained=False)
    assert "\n" not in str(error.value)


def test_a_last_layer_for_other_classes_is_new(checkpoint):
    _, folder = checkpoint
    torch.save(VGG6(7).state_dict(), folder / "seven.pth")
    weights = str(folder / "seven.pth")
    model = create_classifier(architecture(weights=weights), ThreeClasses(), seed=0)
    assert model.network.classifier[4].out_features == 3
    stored = torch.load(weights, weights_only=True)
    assert torch.equal(model.network.classifier[0].weight, stored["classifier.0.weight"])


class Evil:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: torch.save({"state_dict": Evil()}, path), "could run code: refused"),
        (lambda path: path.write_bytes(pickle.dumps(Evil())), "could run code: refused"),
        (lambda path: path.write_bytes(b"PK\x03\x04 damaged"), "cannot be read|could run code"),
        (lambda path: torch.save([1, 2], path), "holds no state dictionary"),
        (lambda path: torch.save(VGG6(3, widths=(8, 8)).state_dict(), path), "do not fit"),
        (lambda path: torch.save({}, path), "do not fit the architecture: it lacks"),
        (lambda path: None, "there is no "),
    ],
)
def test_a_bad_checkpoint_gets_a_sentence(tmp_path, capsys, write, sentence):
    path = tmp_path / "mine.pth"
    write(path)
    with pytest.raises(UserError, match=sentence) as error:
        create_classifier(architecture(weights=str(path)), ThreeClasses(), seed=0)
    assert "\n" not in str(error.value)
    assert "ran" not in capsys.readouterr().out


def test_vgg6_has_no_imagenet_weights():
    with pytest.raises(UserError, match="vgg6 has no ImageNet weights"):
        create_classifier(architecture(weights="imagenet"), ThreeClasses(), seed=0)


# torchvision takes seconds to import.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
def test_torchvision_models_are_built_by_name(name):
    model = create_classifier(architecture(name), ThreeClasses(), seed=0).eval()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    assert not any(getattr(module, "inplace", False) for module in model.modules())
    again = create_classifier(architecture(name), ThreeClasses(), seed=0)
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "size"),
    [("googlenet", 64), ("inception_v3", 96), ("vit_b_32", 64), ("regnet_y_400mf", 32)],
)
def test_families_with_wishes_of_their_own_are_built_as_they_are(name, size):
    network = build_network(name, num_classes=3, image_size=(size, size))
    assert network.train()(torch.zeros(2, 3, size, size)).shape == (2, 3)


@pytest.mark.slow
def test_a_network_that_asks_for_its_version_comes_back(tmp_path):
    """MNASNet loads other layers where a state dictionary has no versions; a file has none."""
    chosen = architecture("mnasnet0_5")
    card = card_of(chosen, ThreeClasses(), 0)
    model = create_classifier(chosen, ThreeClasses(), seed=0).eval()
    save_network(tmp_path / "m.safetensors", model, card)
    loaded, _ = load_network(tmp_path / "m.safetensors")
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded(images), model(images))


@pytest.mark.slow
def test_vgg16_bn_is_torchvision_s():
    network = build_network("vgg16_bn", num_classes=1000, image_size=(224, 224))
    assert trainable(network) == 138_365_992


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "arguments", "sentence"),
    [
        ("vgg61", (32, 32), {}, "no architecture 'vgg61'"),
        ("fasterrcnn_resnet50_fpn", (32, 32), {}, "no architecture 'fasterrcnn"),
        ("vgg16_bn", (16, 16), {}, "cannot take images of 16×16"),
        ("vit_b_16", (70, 70), {}, "architecture vit_b_16: Input shape indivisible by patch size"),
        ("vit_b_16", (64, 32), {}, "cannot take images of 64×32: Wrong image width"),
        ("inception_v3", (64, 64), {}, "cannot take images of 64×64"),
        ("maxvit_t", (64, 64), {}, "architecture maxvit_t: .*not divisible by partition size"),
        ("resnet18", (32, 32), {"width": 3}, "architecture resnet18: .*width"),
        ("googlenet", (64, 64), {"aux_logits": True}, "gives more than logits"),
    ],
)
def test_what_cannot_be_built_gets_a_sentence(name, size, arguments, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        build_network(name, num_classes=3, image_size=size, arguments=arguments)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_imagenet_weights_are_fetched_and_fitted(monkeypatch):
    from torchvision import models
    from torchvision.models import ResNet18_Weights

    official = models.resnet18(num_classes=1000).state_dict()
    asked = {}

    def get_state_dict(self, **options):
        asked.update(options)
        return official

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", get_state_dict)
    model = create_classifier(architecture("resnet18", "imagenet"), ThreeClasses(), seed=0)
    assert asked["weights_only"] is True
    assert asked["check_hash"] is True
    assert torch.equal(model.network.conv1.weight, official["conv1.weight"])
    assert model.network.fc.out_features == 3


@pytest.mark.slow
def test_imagenet_weights_of_another_range_are_refused():
    with pytest.raises(UserError, match=r"googlenet see images in .*transform_input: true"):
        create_classifier(architecture("googlenet", "imagenet"), ThreeClasses(), seed=0)


@pytest.mark.slow
def test_no_network_for_imagenet_weights_gets_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*_, **__):
        from urllib.error import URLError

        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(UserError, match=r"resnet18.*\.pth cannot be downloaded \(no route to host"):
        create_classifier(architecture("resnet18", "imagenet"), ThreeClasses(), seed=0)


def test_weights_of_a_user_that_is_not_there_are_refused():
    with pytest.raises(UserError, match="there is no user ~no_such_user here"):
        read_state("~no_such_user/weights.pth")
