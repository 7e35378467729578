"""The engines against each other, and what each says that it executed.

Two engines differ where a value falls on the border between two of the 256 steps: each adds and
scales in an order of its own. Stated and tested, on real images and trained weights: the same top-1
on at least 99 % of the images.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.engines import CannotRun, engines_of, open_engine
from squeezed.graphs.engines.integer_products import int8_products_are_exact, shift_to_uint8
from squeezed.graphs.export import export_network
from squeezed.networks import VGG6, Classifier
from squeezed.networks.vgg6 import initialise_vgg6
from tests.graphs.graphs import VARIANTS, quantized, tiny_graph, weights_alone_in_8_bits
from tests.steps.networks import images

try:
    import openvino
except ImportError:
    openvino = None
needs_openvino = pytest.mark.skipif(
    openvino is None, reason="OpenVINO is not installed: pip install 'squeezed[engines]'"
)


def saved(graph, folder, name="graph.onnx"):
    path = folder / name
    onnx.save(graph, path)
    return path


@pytest.fixture(scope="module")
def digits():
    """scikit-learn's digits, 16×16, shape (1797, 3, 16, 16), and their labels."""
    bunch = load_digits()
    large = bunch.images.astype(np.float32).repeat(2, axis=1).repeat(2, axis=2) / 16
    return np.repeat(large[:, None], 3, axis=1), bunch.target


@pytest.fixture(scope="module")
def trained(digits):
    """The graph of a narrow VGG-6 that reads most digits."""
    pixels, labels = (torch.from_numpy(values) for values in digits)
    network = VGG6(10, (16, 16), widths=(8, 8, 16, 16, 24, 32), hidden_features=(48, 32))
    initialise_vgg6(network, torch.Generator().manual_seed(0))
    model = Classifier(network, [0.3] * 3, [0.37] * 3)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        for batch in torch.randperm(800, generator=generator).split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(pixels[batch]), labels[batch]).backward()
            optimiser.step()
    return export_network(model, (16, 16))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_engines_predict_the_same_and_8_bits_cost_little(variant, trained, digits, tmp_path):
    pixels, labels = (values[800:] for values in digits)
    path = saved(quantized(trained, VARIANTS[variant], digits[0][:256]), tmp_path)
    batches = [pixels[start : start + 100] for start in range(0, len(pixels), 100)]
    deployed = open_engine(path, 1).predict_batches(batches)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    others = [np.concatenate([plain.run(None, {"images": batch})[0] for batch in batches])]
    if openvino is not None:
        others.append(open_engine(path, 1, "openvino").predict_batches(batches))
    for other in others:
        assert (other.argmax(1) == deployed.argmax(1)).mean() >= 0.99
    original = open_engine(saved(trained, tmp_path, "float.onnx"), 1).predict_batches(batches)
    accuracy = (original.argmax(1) == labels).mean()
    assert accuracy > 0.9
    assert (deployed.argmax(1) == labels).mean() >= accuracy - 0.02


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (None, {"float32"}),
        ("channel", {"int8"}),
        ("tensor", {"int8"}),
        ("extremes", {"int8"}),
    ],
)
def test_onnx_runtime_says_what_it_executed(variant, expected, tmp_path):
    engine = open_engine(saved(tiny_graph(variant), tmp_path), 1)
    executed = engine.executed_precisions()
    assert len(executed) == 7
    assert set(executed.values()) == expected
    assert engine.integer_path == {None: None, "extremes": "u8u8"}.get(variant, "u8s8")


def test_a_dynamic_graph_runs_its_matrices_in_integers(tmp_path):
    executed = open_engine(saved(tiny_graph("dynamic"), tmp_path), 1).executed_precisions()
    assert {name: "int8" if "classifier" in name else "float32" for name in executed} == executed


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_layers_that_silently_stayed_float_are_reported_as_float(engine, tmp_path):
    path = saved(weights_alone_in_8_bits(), tmp_path)
    executed = open_engine(path, 1, engine).executed_precisions()
    assert list(executed.values()) == ["float32"] * 7


@needs_openvino
def test_openvino_runs_signed_weights_in_integers_and_unsigned_ones_in_float(tmp_path):
    signed = open_engine(saved(tiny_graph("channel"), tmp_path), 1, "openvino")
    assert set(signed.executed_precisions().values()) == {"int8"}
    assert signed.integer_path == "u8s8"
    unsigned = open_engine(saved(tiny_graph("extremes"), tmp_path), 1, "openvino")
    executed = unsigned.executed_precisions()
    assert {executed[name] for name in executed if "features" in name} == {"float32"}


@needs_openvino
def test_bfloat16_is_another_precision_of_the_same_file(tmp_path):
    path = saved(tiny_graph(), tmp_path)
    try:
        engine = open_engine(path, 1, "openvino_bf16")
    except UserError as error:
        pytest.skip(str(error))
    plain = open_engine(path, 1, "openvino")
    assert set(engine.executed_precisions().values()) == {"bfloat16"}
    assert set(plain.executed_precisions().values()) == {"float32"}
    batch = images(50, seed=3).numpy()
    difference = np.abs(engine.predict(batch) - plain.predict(batch)).max()
    assert 0 < difference <= 0.05 * np.ptp(plain.predict(batch))


@pytest.mark.parametrize("variant", ["channel", "tensor", "dynamic"])
def test_the_exact_path_computes_the_same_numbers(variant, tmp_path, monkeypatch):
    """Bit for bit: both add the same integers."""
    if not int8_products_are_exact():
        pytest.skip("int8 products saturate on this processor")
    path = saved(tiny_graph(variant), tmp_path)
    monkeypatch.setattr(
        "squeezed.graphs.engines.onnxruntime_engine.int8_products_are_exact", lambda: False
    )
    exact = open_engine(path, 1)
    monkeypatch.undo()
    fast = open_engine(path, 1)
    assert (exact.integer_path, fast.integer_path) == ("u8u8, exact", "u8s8")
    batch = images(100, seed=3).numpy()
    assert np.array_equal(exact.predict(batch), fast.predict(batch))


@pytest.mark.parametrize("variant", ["channel", "tensor", "dynamic"])
def test_weights_for_the_exact_path_are_all_unsigned(variant):
    graph = tiny_graph(variant)
    assert shift_to_uint8(graph) == (3 if variant == "dynamic" else 7)
    onnx.checker.check_model(graph, full_check=True)
    kinds = {constant.data_type for constant in graph.graph.initializer}
    assert onnx.TensorProto.INT8 not in kinds
    assert shift_to_uint8(graph) == 0


def test_weights_without_a_zero_point_get_one(tmp_path):
    graph = weights_alone_in_8_bits()
    batch = images(20).numpy()
    before = open_engine(saved(graph, tmp_path), 1).predict(batch)
    assert shift_to_uint8(graph) == 7
    assert np.array_equal(before, open_engine(saved(graph, tmp_path), 1).predict(batch))


def test_a_full_disk_is_not_taken_for_a_graph_that_cannot_run(tmp_path, monkeypatch):
    """What the engine made of a graph is read from a file that it writes."""
    engine = open_engine(saved(tiny_graph(), tmp_path), 1)

    def full(*arguments, **options):
        raise RuntimeError("7 : INVALID_PROTOBUF : Protobuf serialization failed")

    monkeypatch.setattr(onnxruntime, "InferenceSession", full)
    with pytest.raises(RuntimeError, match="serialization failed"):
        engine.executed_precisions()


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_a_file_that_is_no_graph_is_refused(engine, tmp_path):
    (tmp_path / "model.onnx").write_text("not a model")
    with pytest.raises(UserError, match=r"model\.onnx cannot be read"):
        open_engine(tmp_path / "model.onnx", 1, engine)


def test_an_operator_that_the_engine_lacks_is_no_error_of_another_kind(tmp_path):
    graph = tiny_graph()
    graph.graph.node[2].op_type = "Unheard"
    with pytest.raises(CannotRun, match=r"cannot be run by ONNX Runtime"):
        open_engine(saved(graph, tmp_path), 1)


@pytest.mark.parametrize(
    ("engine", "module", "suffix"),
    [
        ("openvino", "openvino", ".onnx"),
        ("litert", "ai_edge_litert.interpreter", ".tflite"),
    ],
)
def test_a_missing_package_is_named_with_how_to_install_it(
    engine, module, suffix, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    path = saved(tiny_graph(), tmp_path, f"graph{suffix}")
    with pytest.raises(UserError, match=r"not installed .*pip install 'squeezed\[engines\]'"):
        open_engine(path, 1, engine)


def test_an_unknown_engine_is_refused(tmp_path):
    with pytest.raises(UserError, match="no engine 'abacus'; choose one of onnxruntime, openvino"):
        open_engine(tmp_path / "graph.onnx", 1, "abacus")


def test_each_kind_of_file_has_its_engines():
    asked = ["onnxruntime", "openvino", "litert"]
    assert engines_of("a/b.onnx", asked) == ["onnxruntime", "openvino"]
    assert engines_of("a/b.tflite", asked) == ["litert"]


TEST_DATA = os.environ.get("SQUEEZED_TEST_DATA")


@pytest.mark.skipif(TEST_DATA is None, reason="SQUEEZED_TEST_DATA names no folder of networks")
@pytest.mark.parametrize(
    ("name", "precision"), [("pretrainedResnet", "float32"), ("pretrainedResnet_quant", "int8")]
)
def test_litert_runs_what_others_compressed(name, precision):
    pytest.importorskip("ai_edge_litert")
    path = Path(TEST_DATA) / "pretrained" / f"{name}.tflite"
    engine = open_engine(path, 1, "litert")
    logits = engine.predict_batches([images(3, (32, 32)).numpy(), images(2, (32, 32)).numpy()])
    assert logits.shape == (5, 10)
    assert np.array_equal(logits[:1], engine.predict(images(3, (32, 32)).numpy()[:1]))
    assert set(engine.executed_precisions().values()) == {precision}


def test_engines_load_no_torch():
    code = (
        "import sys, squeezed.graphs.engines as e, squeezed.graphs.layers, "
        "squeezed.graphs.engines.onnxruntime_engine, squeezed.graphs.engines.openvino_engine, "
        "squeezed.graphs.graph_file; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
