"""Which layers are chosen in networks of every kind, by what name, and reading them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from squeezed.data.dataset import Split
from squeezed.explain.attribution import Attributor, unavailable
from squeezed.explain.embedding_scores import likeness, separation_scores
from squeezed.explain.layers import (
    embed,
    feature_layer,
    features_at,
    layer_names,
    map_layer,
    probe,
)
from squeezed.explain.rehearsal import Missing, missing
from squeezed.explain.trunk import Trunk
from squeezed.foundation.errors import UserError
from squeezed.networks import VGG6, Classifier, build_network
from tests.matrix import matrix
from tests.twins import twin_of

SIZE = (16, 16)


def twin_of_layers(*layers: nn.Module, size: tuple[int, int] = SIZE):
    torch.manual_seed(0)
    return twin_of(Classifier(nn.Sequential(*layers), [0.5] * 3, [0.25] * 3), size)


class Branches(nn.Module):
    """A residual block, then a concatenation with batch norm behind it, as in a DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.other = nn.Conv2d(4, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(10)
        self.head = nn.Linear(10, 5)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images).relu()
        block = (self.block(stem) + stem).relu()
        both = self.norm(torch.cat([block, self.other(block)], dim=1)).relu()
        return self.head(both.mean(dim=(2, 3)))


class Tokens(nn.Module):
    """A convolution cuts the image into tokens, which are mixed afterwards, as in a ViT."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, stride=4)
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.mix(tokens).mean(dim=1))


class ChannelsLast(nn.Module):
    """Blocks on (n, h, w, C), and a permutation back in front of the pooling, as in a Swin."""

    def __init__(self, back: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, stride=4)
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)
        self.back = back

    def forward(self, images: Tensor) -> Tensor:
        places = self.patches(images).permute(0, 2, 3, 1)
        places = places + self.mix(places)
        if self.back:
            return self.head(places.permute(0, 3, 1, 2).mean(dim=(2, 3)))
        return self.head(places.mean(dim=(1, 2)))


@pytest.fixture(scope="module")
def vgg():
    torch.manual_seed(0)
    network = VGG6(4, SIZE, widths=(4, 4, 6, 6, 8, 8), hidden_features=(12, 10))
    return twin_of(Classifier(network, [0.5] * 3, [0.25] * 3), SIZE)


def values_at(twin, layer, images: Tensor) -> Tensor:
    return probe(twin, layer)(images)[0].detach()


def test_default_features_are_the_first_fully_connected_layer_after_its_relu(vgg):
    images = torch.rand(3, 3, *SIZE)
    layer = feature_layer(vgg)
    assert str(layer) == "classifier.1"
    ((features, logits),) = features_at(vgg, layer, [images])
    assert features.shape == (3, 12)
    assert features.min() == 0 < features.max()
    torch.testing.assert_close(logits, vgg(images).detach())
    network = dict(vgg.named_modules())
    values: list[Tensor] = []
    network["classifier_0"].register_forward_hook(lambda *call: values.append(call[2]))
    vgg(images)
    torch.testing.assert_close(features, values[0].detach().clamp(min=0))


def test_features_of_all_images_are_embedded_in_order(vgg):
    pictures = np.random.default_rng(0).random((9, 3, *SIZE), dtype=np.float32)

    class Pictures(Split):
        def __init__(self) -> None: ...

        def batches(self, batch_size, indices):
            for part in np.array_split(indices, 2):
                yield pictures[part], part

    order = np.array([4, 1, 8, 2, 0])
    features, predictions = embed(vgg, feature_layer(vgg), Pictures(), order, torch.device("cpu"))
    expected, logits = next(features_at(vgg, feature_layer(vgg), [torch.from_numpy(pictures)]))
    np.testing.assert_allclose(features, expected.numpy()[order], atol=1e-6)
    np.testing.assert_array_equal(predictions, logits.argmax(dim=1).numpy()[order])


def test_a_network_with_one_fully_connected_layer_is_read_before_it():
    twin = twin_of_layers(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 3))
    images = torch.rand(2, 3, *SIZE)
    layer = feature_layer(twin)
    assert values_at(twin, layer, images).shape == (2, 512)
    assert map_layer(twin).name == "1"


def test_a_network_without_fully_connected_layers_is_read_before_its_last_convolution():
    twin = twin_of_layers(
        nn.Conv2d(3, 5, 3),
        nn.ReLU(),
        nn.Conv2d(5, 3, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    images = torch.rand(2, 3, *SIZE)
    layer = feature_layer(twin)
    assert str(layer) == "mean of 1"
    ((features, _),) = features_at(twin, layer, [images])
    maps = values_at(twin, map_layer(twin), images)
    assert map_layer(twin).name == "1"
    torch.testing.assert_close(features, maps.mean(dim=(2, 3)))


def test_branches_are_no_part_of_the_trunk():
    torch.manual_seed(0)
    twin = twin_of(Classifier(Branches(), [0.5] * 3, [0.25] * 3), SIZE)
    layer = map_layer(twin)
    maps = values_at(twin, layer, torch.rand(2, 3, *SIZE))
    assert maps.shape == (2, 10, *SIZE)
    assert maps.min() == 0  # after the ReLU
    assert feature_layer(twin).node != layer.node
    on_trunk = {node.name for node in Trunk(twin).trunk}
    inside = [name for name in layer_names(twin) if name.startswith("block")]
    assert inside and not on_trunk & {name.replace(".", "_") for name in inside}
    assert missing(twin, None, None, ["guided_backprop", "grad_cam"]) == Missing(None, {})


@pytest.mark.parametrize(
    ("network", "shape"),
    [(Tokens(), None), (ChannelsLast(back=False), None), (ChannelsLast(back=True), (6, 4, 4))],
    ids=["tokens", "channels last", "channels last, permuted back"],
)
def test_tokens_are_no_activation_maps(network: nn.Module, shape: tuple[int, ...] | None):
    twin = twin_of(Classifier(network, [0.5] * 3, [0.25] * 3), SIZE)
    reason = unavailable(twin, "grad_cam")
    if shape is None:
        assert reason is not None and "ends in no activation map" in reason
        assert "cam.methods" in reason
    else:
        assert reason is None
        assert values_at(twin, map_layer(twin), torch.rand(1, 3, *SIZE)).shape[1:] == shape


def test_what_cannot_be_done_is_said_in_sentences():
    twin = twin_of_layers(nn.Flatten(), nn.Tanh())
    found = missing(twin, None, None, ["guided_backprop", "grad_cam"])
    said = [found.features, *found.maps.values()]
    for sentence, key in zip(said, ("embedding.layer", "cam.methods", "cam.methods"), strict=True):
        assert key in sentence and "\n" not in sentence
    for method in ("guided_backprop", "grad_cam"):
        with pytest.raises(UserError, match=r"cam\.methods"):
            Attributor(twin, method)
    with pytest.raises(UserError, match="names 'saliency'; choose from guided_backprop, grad_cam"):
        Attributor(twin, "saliency")


def test_layers_are_named_as_they_are_listed(vgg):
    names = layer_names(vgg)
    assert names[1:3] == ["features.0", "features.2"]  # its batch norm is folded
    assert {"features.19", "classifier.1", "classifier.4"} <= set(names)
    assert feature_layer(vgg, "features.19").name == "features.19"
    assert feature_layer(vgg, "features_19").name == "features.19"  # by the twin's own name
    assert map_layer(vgg, "features.14").name == "features.14"


def test_missing_layers_are_named_with_the_nearest(vgg):
    with pytest.raises(UserError, match=r"embedding\.layer is 'classifier\.9'.*classifier\.1"):
        feature_layer(vgg, "classifier.9")
    with pytest.raises(UserError, match=r"cam\.layer is 'zzz'.*no such layer; it has "):
        map_layer(vgg, "zzz")
    with pytest.raises(UserError, match=r"cam\.layer is 'classifier\.1'.*\(n, 12\) instead of"):
        map_layer(vgg, "classifier.1")
    found = missing(vgg, "classifier.9", "classifier.1", ["grad_cam", "guided_backprop"])
    assert found.features is not None and set(found.maps) == {"grad_cam"}


def test_features_without_spread_have_no_score():
    features, labels = np.ones((20, 3), dtype=np.float32), np.arange(20) % 2
    rounded = features + np.float32(1e-6) * np.random.default_rng(0).random((20, 3), np.float32)
    for same in (features, rounded):
        scores = separation_scores(same, labels, neighbours=3, seed=0)
        assert all(np.isnan(values).all() for values in scores.values())
    assert set(likeness(features, features + labels[:, None], seed=0).values()) == {None}


FAMILIES = {
    "vgg11": (512, 4096),
    "resnet18": (512, 512),
    "densenet121": (1024, 1024),
    "googlenet": (1024, 1024),
    "inception_v3": (2048, 2048),
    "mobilenet_v2": (1280, 1280),
    "mobilenet_v3_small": (576, 1024),
    "efficientnet_b0": (1280, 1280),
    "squeezenet1_1": (512, 512),
    "shufflenet_v2_x0_5": (1024, 1024),
    "mnasnet0_5": (1280, 1280),
    "regnet_y_400mf": (440, 440),
    "convnext_tiny": (768, 768),
    "swin_t": (768, 768),
    "vit_b_32": (None, 768),
}


@pytest.mark.parametrize(
    ("name", "channels", "width"), matrix(FAMILIES, "resnet18", "squeezenet1_1", "swin_t")
)
def test_the_layers_of_every_family(name: str, channels: int | None, width: int):
    size = (224, 224) if name.startswith("vit") else (128, 128) if "inception" in name else (64, 64)
    arguments = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    torch.manual_seed(0)
    network = build_network(name, num_classes=4, image_size=size, arguments=arguments)
    twin = twin_of(Classifier(network, [0.5] * 3, [0.25] * 3).eval(), size)
    images = torch.rand(2, 3, *size)
    ((features, logits),) = features_at(twin, feature_layer(twin), [images])
    assert features.shape == (2, width)
    assert features.std() > 0 and logits.shape == (2, 4)
    said = missing(twin, None, None, ["grad_cam"])
    if channels is None:
        assert said.features is None and "activation map" in said.maps["grad_cam"]
        return
    assert said == Missing(None, {})
    maps = values_at(twin, map_layer(twin), images)
    assert maps.shape[1] == channels and maps.shape[2] * maps.shape[3] > 1
    for method in ("guided_backprop", "grad_cam"):
        if unavailable(twin, method) is None:
            found = Attributor(twin, method).maps(images, logits.argmax(dim=1))
            assert found.shape == (2, *size) and torch.isfinite(found).all() and found.min() >= 0
