"""A network file gives back the network, bit for bit, and nothing in it is run."""

import dataclasses
import json
import pickle
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezed.foundation.errors import UserError
from squeezed.networks import Classifier, build_network
from squeezed.networks.edits import replay
from squeezed.networks.network_file import (
    HEADER_KEY,
    NetworkCard,
    load_network,
    read_card,
    save_network,
)

ARGUMENTS = {"widths": [2, 2, 3, 3, 4, 4], "hidden_features": [6, 5]}

EDITS = {
    "not": [],
    "cut": [{"edit": "cut", "convolutions": 1}],
    "remove": [
        {
            "edit": "remove",
            "channels": {
                "features.0": {"outputs": [1]},
                "features.1": {"outputs": [1]},
                "features.3": {"inputs": [1]},
            },
        }
    ],
    "factorize": [{"edit": "factorize", "ranks": {"features.3": 2, "classifier.0": 3}}],
}
EDITS["all"] = [*EDITS["cut"], *EDITS["remove"], *EDITS["factorize"]]


def make(seed=0, classes=3, edited="not"):
    """A small classifier with random weights, batch statistics included, and its card."""
    card = NetworkCard(
        architecture="vgg6",
        arguments=ARGUMENTS,
        image_size=(16, 16),
        class_names=[f"class {i}" for i in range(classes)],
        mean=[0.1, 0.2, 0.3],
        std=[0.9, 0.8, 0.7],
        variant="mine",
        seed=seed,
        recipe={"step": "train", "learning_rate": 0.1},
        parents={"dataset": "ab" * 32},
        edits=EDITS[edited],
    )
    torch.manual_seed(seed)
    network = build_network(
        "vgg6", num_classes=classes, image_size=card.image_size, arguments=ARGUMENTS
    )
    network = replay(network, card.edits, card.image_size)
    model = Classifier(network, card.mean, card.std)
    model(torch.rand(8, 3, 16, 16))  # moves the batch statistics
    return model.eval(), card


@pytest.mark.parametrize("edited", ["not", "cut", "remove", "factorize", "all"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), classes=st.integers(2, 12))
def test_a_model_comes_back_bit_for_bit(tmp_path_factory, seed, classes, edited):
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    model, card = make(seed, classes, edited)
    save_network(path, model, card)
    found, found_card = load_network(path)
    assert found_card == card
    expected, state = model.state_dict(), found.state_dict()
    assert expected.keys() == state.keys()
    for name, tensor in expected.items():
        assert tensor.dtype == state[name].dtype
        assert tensor.numpy().tobytes() == state[name].numpy().tobytes(), name
    images = torch.rand(4, 3, 16, 16)
    assert torch.equal(found(images), model(images))


def test_special_values_survive(tmp_path):
    model, card = make()
    special = torch.tensor([float("nan"), -0.0, float("inf"), 1e-45])
    bias = model.network.features[0].bias
    assert bias is not None
    with torch.no_grad():
        bias.copy_(special[:2])
        model.network.classifier[0].bias[:4] = special
    save_network(tmp_path / "m.safetensors", model, card)
    found, _ = load_network(tmp_path / "m.safetensors")
    saved = found.network.classifier[0].bias[:4].detach().numpy().tobytes()
    assert saved == special.numpy().tobytes()


def test_the_same_model_is_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_network(tmp_path / f"{name}.safetensors", *make())
    first, second = ((tmp_path / f"{n}.safetensors").read_bytes() for n in "ab")
    assert first == second


def test_a_loaded_model_saves_to_the_same_bytes(tmp_path):
    save_network(tmp_path / "a.safetensors", *make())
    save_network(tmp_path / "b.safetensors", *load_network(tmp_path / "a.safetensors"))
    first, second = ((tmp_path / f"{n}.safetensors").read_bytes() for n in "ab")
    assert first == second


class Bomb:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("code of the file was run",))


def with_header(header):
    """The bytes of a safetensors file without tensors, with this metadata."""
    text = json.dumps({"__metadata__": header}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no model",
        pickle.dumps(Bomb()),
        with_header({}),
        with_header({HEADER_KEY: "no JSON"}),
        with_header({HEADER_KEY: "[1, 2]"}),
        with_header({HEADER_KEY: "{}"}),
        with_header({HEADER_KEY: json.dumps({"image_size": [1, 2], "from": "the future"})}),
    ],
)
def test_what_is_no_model_file_gets_one_sentence(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a network file of squeezed") as error:
        load_network(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_gets_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.safetensors is not a network file"):
        read_card(tmp_path / "nowhere.safetensors")


def test_tensors_that_do_not_fit_get_one_sentence(tmp_path):
    model, card = make(classes=3)
    card = dataclasses.replace(card, class_names=["one", "two"])
    save_network(tmp_path / "m.safetensors", model, card)
    with pytest.raises(UserError, match="its tensors do not fit vgg6") as error:
        load_network(tmp_path / "m.safetensors")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"edit": "fold"}, "there is no edit 'fold'; known are cut, remove, factorize"),
        ({"verb": "cut"}, "there is no edit None"),
        ({"edit": "cut"}, "the edit 'cut' does not fit"),
        ({"edit": "cut", "convolutions": 9}, "cannot ablate 9 of 6 convolutions"),
        ({"edit": "cut", "depth": 1}, "the edit 'cut' does not fit"),
        ({"edit": "cut", "after": "nowhere"}, "cannot be cut after 'nowhere'"),
        ({"edit": "remove", "channels": {"nowhere": {}}}, "the edit 'remove' does not fit"),
        (
            {"edit": "remove", "channels": {"features.0": {"outputs": [7]}}},
            "some of them must stay",
        ),
        ({"edit": "remove", "channels": {"features.2": {"outputs": [0]}}}, "a ReLU"),
        ({"edit": "remove", "channels": {"features.0": {"rows": [0]}}}, "'inputs' or 'outputs'"),
        ({"edit": "factorize", "ranks": {"features.0": 0}}, "cannot be split at rank 0"),
        ({"edit": "factorize", "ranks": {"features.2": 1}}, "cannot be split at rank 1"),
    ],
)
def test_damaged_edits_get_one_sentence(tmp_path, edit, message):
    model, card = make()
    save_network(tmp_path / "m.safetensors", model, dataclasses.replace(card, edits=[edit]))
    with pytest.raises(UserError, match=message) as error:
        load_network(tmp_path / "m.safetensors")
    assert "\n" not in str(error.value)
