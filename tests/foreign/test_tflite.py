"""A TFLite file has a twin that computes what LiteRT does, or is judged without gradients."""

import numpy as np
import pytest
import torch

from squeezed.attacks.gate import verdict
from squeezed.attacks.square import square_attack
from squeezed.foundation.errors import UserError
from squeezed.graphs.engines import engines_of, open_engine
from squeezed.graphs.foreign.kept import graph_of, why_no_twin
from squeezed.graphs.foreign.model import open_foreign
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.graph_file import GraphCard, write_graph
from squeezed.graphs.tflite import tflite_graph
from squeezed.graphs.twin import build_twin, load_twin
from tests.foreign.models import images
from tests.foreign.tflite_models import FLOAT, INT8, UINT8, classifier

pytest.importorskip("ai_edge_litert")

SIZE = (13, 10)
CENTRED = Preprocessing(mean=(0.5,), std=(0.25,))


def opened(tmp_path, preprocessing=None, **made):
    path = tmp_path / "model.tflite"
    path.write_bytes(classifier(size=SIZE, **made))
    return open_foreign(path, preprocessing or Preprocessing(), None, SIZE, images(size=SIZE))


def through_its_twin(model, count):
    """The probabilities of images by a file's twin and by the file, and whom a gradient reaches."""
    given = images(count, size=SIZE)
    graph, why = graph_of(model)
    assert why is None
    pixels = torch.from_numpy(given).requires_grad_()
    logits = build_twin(graph)(pixels)
    logits.max(dim=1).values.sum().backward()
    reached = pixels.grad.flatten(1).norm(dim=1) > 0
    return logits.detach().softmax(dim=1).numpy(), np.exp(model.logits(given)), reached


def written(tmp_path, model):
    graph, _ = graph_of(model)
    names = model.outputs.names
    card = GraphCard(names, SIZE, [0.0] * 3, [1.0] * 3, "theirs", "theirs", 0)
    write_graph(tmp_path / "graph.onnx", graph, card)
    return tmp_path / "graph.onnx"


@pytest.mark.parametrize("last", ["MEAN", "POOL", "FLAT"])
@pytest.mark.parametrize("half", [False, True])
def test_the_twin_of_a_float_file_computes_what_it_does(tmp_path, last, half):
    shares, own, reached = through_its_twin(opened(tmp_path, CENTRED, last=last, half=half), 24)
    np.testing.assert_allclose(shares, own, atol=1e-5)
    assert reached.all()


@pytest.mark.parametrize("kind", [INT8, UINT8])
@pytest.mark.parametrize("last", ["MEAN", "POOL", "FLAT"])
def test_the_twin_of_an_8_bit_file_is_as_near_as_rounding_lets_it(tmp_path, kind, last):
    shares, own, reached = through_its_twin(opened(tmp_path, kind=kind, last=last), 100)
    # A step of the logits' grid (24 / 255) moves a probability by 0.024 at most.
    assert np.abs(shares - own).max() < 0.06
    assert (shares.argmax(axis=1) != own.argmax(axis=1)).mean() <= 0.05
    assert reached.float().mean() > 0.95


@pytest.mark.parametrize("kind", [FLOAT, UINT8])
def test_litert_judges_the_graph_with_the_users_own_bytes(tmp_path, kind):
    model = opened(tmp_path, CENTRED if kind == FLOAT else None, kind=kind)
    path = written(tmp_path, model)
    assert engines_of(path, ("onnxruntime",)) == ["litert", "onnxruntime"]
    engine = open_engine(path, 1, "litert")
    given = images(9, size=SIZE)
    np.testing.assert_array_equal(engine.predict(given), model.logits(given))
    executed = engine.executed_precisions()
    assert set(executed) == {"first", "deep", "logits"}
    assert set(executed.values()) == {"float32" if kind == FLOAT else "int8"}
    other = open_engine(path, 1, "onnxruntime").predict(given)
    assert (other.argmax(axis=1) == model.logits(given).argmax(axis=1)).mean() >= 8 / 9


def test_an_operator_without_a_twin_is_named_and_runs_in_litert(tmp_path):
    model = opened(tmp_path, CENTRED, extra="ELU")
    with pytest.raises(UserError, match=r"operators that no twin can be made of: ELU$"):
        tflite_graph(model.core.content, "theirs")
    path = written(tmp_path, model)
    assert why_no_twin(path).endswith("ELU")
    assert engines_of(path, ("onnxruntime",)) == ["litert"]
    given = images(9, size=SIZE)
    expected = model.logits(given)
    np.testing.assert_array_equal(open_engine(path, 1, "litert").predict(given), expected)
    twin = load_twin(path)
    pixels = torch.from_numpy(given).requires_grad_()
    logits = twin(pixels)
    np.testing.assert_allclose(logits.detach().numpy(), expected, atol=1e-5)
    assert not logits.requires_grad
    labels = expected.argmax(axis=1)
    found = square_attack(
        open_engine(path, 1, "litert").predict, given, labels, budget=8.0, queries=30, seed=0
    )
    assert found.success.any()
    assert (model.logits(found.images).argmax(axis=1) != labels).tolist() == found.success.tolist()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path, share):
    content = classifier(size=SIZE)
    path = tmp_path / "model.tflite"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError) as refused:
        open_foreign(path, Preprocessing(), None, SIZE, images(size=SIZE))
    assert len(str(refused.value).splitlines()) == 1


def test_the_gate_says_that_no_gradient_was_asked_for():
    checks = {
        "n_attackable": 9,
        "square_budget_l2": 0.5,
        "square_success": 0.25,
        "transfer_shortened": 1 / 3,
    }
    reliable, reason = verdict(checks, "it has operators that no twin can be made of: ELU")
    assert not reliable
    assert reason == (
        "Judged without gradients, because it has operators that no twin can be made of: ELU: "
        "within L2 0.5, the baseline's median, the Square attack fools 25.0 %; other variants' "
        "adversarial images, brought to the boundary, fool 33.3 %. An attack with gradients may "
        "find more."
    )
