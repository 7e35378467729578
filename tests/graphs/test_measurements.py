"""Layers, sizes, timings and predictions against counts by hand and fakes with a known clock."""

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import nn

from squeezed.evaluation.evaluation import evaluate
from squeezed.evaluation.inference_timing import time_inference
from squeezed.evaluation.predictions import (
    accuracy_metrics,
)
from squeezed.graphs import timing
from squeezed.graphs.engines import CannotRun, open_engine
from squeezed.graphs.export import export_network
from squeezed.graphs.graph_file import write_graph
from squeezed.graphs.layers import list_layers, totals
from squeezed.graphs.peak_memory import peak_memory_bytes
from squeezed.graphs.sizes import gzipped_bytes
from squeezed.networks import VGG6, Classifier
from tests.graphs.graphs import (
    VARIANTS,
    Images,
    by_hand,
    quantized,
    tiny_graph,
    weights_alone_in_8_bits,
)
from tests.graphs.test_engines import needs_openvino
from tests.graphs.test_graph_file import card_of
from tests.steps.networks import CLASSES, MEAN, SIZE, STD, disturb, images, tiny_vgg


def arithmetic_by_hooks(model):
    """Multiply–accumulates of each layer for one image, counted from what it computes."""
    counts = {}

    def count(name, module):
        def hook(_, inputs, output):
            if isinstance(module, nn.Conv2d):
                each = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
                counts[name] = output[0].numel() * each // module.groups
            else:
                counts[name] = output[0].numel() * module.in_features

        return hook

    for name, module in model.network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count(name, module))
    return counts


def test_layers_count_parameters_and_arithmetic():
    """Batch norms are folded: their scale and shift are in the convolutions."""
    model = tiny_vgg()
    layers = list_layers(export_network(model, SIZE))
    counts = arithmetic_by_hooks(model)
    model(images(1))
    assert {layer.layer: layer.multiply_accumulates for layer in layers} == counts
    own = [m for m in model.network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert totals(layers)["parameters"] == sum(p.numel() for m in own for p in m.parameters())
    assert {layer.stored for layer in layers} == {"float32"}
    assert {layer.executed for layer in layers} == {""}


def test_depthwise_convolutions_and_matrices_on_tokens_are_counted():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, stride=4)
            self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
            self.norm = nn.LayerNorm(8)
            self.mix = nn.Linear(8, 6)
            self.head = nn.Linear(6, CLASSES)

        def forward(self, values):
            tokens = self.depthwise(self.patches(values)).flatten(2).transpose(1, 2)
            return self.head(self.mix(self.norm(tokens)).mean(1))

    model = Classifier(Mixed(), MEAN, STD).eval()
    layers = list_layers(export_network(model, SIZE))
    counts = arithmetic_by_hooks(model)
    model(images(1))
    found = {x.layer: x.multiply_accumulates for x in layers if x.kind != "layer_norm"}
    assert found == counts
    assert totals(layers)["parameters"] == sum(p.numel() for p in model.parameters())
    shapes = {layer.layer: layer.shape for layer in layers}
    assert (shapes["mix"], shapes["depthwise"]) == ("6x8", "8x1x3x3")


def test_vgg6_has_the_stated_number_of_parameters():
    """576 of its 2,737,690 are batch norms' scales and shifts, which are folded."""
    model = Classifier(disturb(VGG6(10)), MEAN, STD).eval()
    found = totals(list_layers(export_network(model, (32, 32))))
    assert found["parameters"] == 2_737_690 - 576
    assert found["multiply_accumulates"] == 14_865_408


@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_zeros_are_counted_in_every_form(variant):
    """The integers that stand for zero, and none of the image's empty channel."""
    model = tiny_vgg()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.network.parameters():
        if parameter.dim() > 1:
            parameter.data[torch.rand(parameter.shape, generator=generator) < 0.5] = 0
    graph = export_network(model, SIZE)
    before = {c.name: numpy_helper.to_array(c) for c in graph.graph.initializer}
    plain = list_layers(graph)
    layers = list_layers(graph if variant is None else quantized(graph, VARIANTS[variant]))
    assert [layer.layer for layer in layers] == [layer.layer for layer in plain]
    for layer, original in zip(layers, plain, strict=True):
        weight = before[f"{layer.layer}.weight"]
        assert layer.shape == original.shape == "x".join(map(str, weight.shape))
        assert layer.parameters == original.parameters
        assert layer.multiply_accumulates == original.multiply_accumulates
        assert (weight == 0).mean() <= layer.sparsity <= (weight == 0).mean() + 0.1
        share = layer.remaining_multiply_accumulates / layer.multiply_accumulates
        assert share == pytest.approx(1 - layer.sparsity)
    stored = {"extremes": "uint8", None: "float32"}.get(variant, "int8")
    assert layers[-1].stored == stored
    assert layers[0].stored == ("float32" if variant == "dynamic" else stored)


def test_operators_on_integers_are_layers_too(tmp_path):
    """ONNX Runtime's other form: QLinearConv, QGemm and their kin."""
    onnx.save(tiny_graph(), tmp_path / "float.onnx")

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.batches = iter([{"images": images(16).numpy()}])

        def get_next(self):
            return next(self.batches, None)

    quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "operators.onnx",
        Reader(),
        quant_format=QuantFormat.QOperator,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    graph = onnx.load(tmp_path / "operators.onnx")
    assert {"QLinearConv", "QGemm"} <= {node.op_type for node in graph.graph.node}
    engine = open_engine(tmp_path / "operators.onnx", 1)
    layers = list_layers(graph, engine.executed_precisions())
    plain = list_layers(tiny_graph())
    assert [x.multiply_accumulates for x in layers] == [x.multiply_accumulates for x in plain]
    assert [x.parameters for x in layers] == [x.parameters for x in plain]
    assert {x.stored for x in layers} == {x.executed for x in layers} == {"int8"}


def test_shared_weights_are_parameters_once():
    weight = np.ones((3, 3, 1, 1), np.float32)
    graph = by_hand(
        [
            helper.make_node("Conv", ["images", "weight"], ["a"], "first"),
            helper.make_node("Conv", ["a", "weight"], ["logits"], "second"),
        ],
        {"weight": weight},
    )
    first, second = list_layers(graph)
    assert (first.parameters, second.parameters) == (9, 0)
    assert first.multiply_accumulates == second.multiply_accumulates == 9 * 64


def test_weights_in_other_places_are_found():
    """A constant node, a transposed constant, float16, and a bias that is added afterwards."""
    nodes = [
        helper.make_node(
            "Constant", [], ["w"], value=numpy_helper.from_array(np.eye(3, dtype=np.float16))
        ),
        helper.make_node("Cast", ["w"], ["w32"], to=1),
        helper.make_node("Transpose", ["w32"], ["wt"], perm=[1, 0]),
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "wt"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["logits"]),
    ]
    (layer,) = list_layers(by_hand(nodes, {"b": np.zeros(3, np.float32)}))
    assert layer.layer == "product"  # a node without a name is called as its result
    assert (layer.shape, layer.parameters, layer.nonzero) == ("3x3", 12, 3)
    assert (layer.stored, layer.multiply_accumulates) == ("float16", 9)


def test_averages_are_no_weights():
    class Averaging(nn.Module):
        def __init__(self):
            super().__init__()
            self.avgpool = nn.AdaptiveAvgPool2d((3, 3))
            self.fc = nn.Linear(27, CLASSES)

        def forward(self, values):
            return self.fc(self.avgpool(values).flatten(1))

    graph = export_network(Classifier(Averaging(), MEAN, STD), SIZE)
    assert "MatMul" in {node.op_type for node in graph.graph.node}
    assert [layer.layer for layer in list_layers(graph)] == ["fc"]
    made = quantized(graph)
    assert [layer.layer for layer in list_layers(made)] == ["fc"]


@given(st.binary(max_size=5000))
def test_gzipped_size_is_gzips(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        assert gzipped_bytes(path) == len(gzip.compress(data, compresslevel=6, mtime=0))


class FakeClock:
    """Time that passes only when a run says so."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def run(self, seconds_per_image, calls):
        def go(batch):
            calls.append(len(batch))
            self.now += seconds_per_image * len(batch)

        return go


def test_times_are_of_10000_images_in_turns(monkeypatch):
    clock, slow, fast = FakeClock(monkeypatch), [], []
    runs = {"variant": clock.run(0.001, fast), "baseline": clock.run(0.004, slow)}
    pool = np.zeros((7, 3, 2, 2), dtype=np.float32)
    times = timing.time_side_by_side(runs, pool, batch_size=64, repeats=2)
    assert times["variant"].seconds == pytest.approx([10, 10])
    assert times["baseline"].median == pytest.approx(40)
    assert max(fast) == 64
    assert sum(fast) == 1000 + 2 * 10_000, "a slice warms up"
    assert fast == slow


def test_fewer_timed_images_are_scaled(monkeypatch):
    clock, calls = FakeClock(monkeypatch), []
    pool = np.zeros((7, 3, 2, 2), dtype=np.float32)
    times = timing.time_side_by_side(
        {"variant": clock.run(0.001, calls)}, pool, batch_size=10, repeats=1, timed_images=250
    )
    assert times["variant"].median == pytest.approx(10)
    assert sum(calls) == 2 * 250


def test_latency_is_of_single_images(monkeypatch):
    clock, calls = FakeClock(monkeypatch), []
    pool = np.zeros((7, 3, 2, 2), dtype=np.float32)
    found = timing.latency_side_by_side(
        {"variant": clock.run(0.5, calls)}, pool, count=5, warm_up=2
    )
    assert found["variant"] == pytest.approx([0.5] * 5)
    assert calls == [1] * 7


def test_the_pool_is_bounded():
    size = timing.POOL_BYTES // 4
    pool = timing.image_pool(lambda k: np.empty((k, size // 4), dtype=np.float32), 100)
    assert len(pool) == 4
    assert len(timing.image_pool(lambda k: np.zeros((k, 3), dtype=np.float32), 5)) == 5


def test_accuracy_and_flips_by_hand():
    labels = np.array([0, 0, 1, 1, 2])
    baseline = np.array([0, 1, 1, 1, 2])
    predictions = np.array([0, 0, 1, 2, 0])
    found = accuracy_metrics(labels, predictions, baseline)
    assert found["top1_accuracy"] == 0.6
    assert found["baseline_top1_accuracy"] == 0.8
    assert found["top1_accuracy_low"] < 0.6 < found["top1_accuracy_high"]
    assert found["flipped_predictions"] == 3
    assert found["flipped_share"] == 0.6
    assert found["flipped_to_wrong"] == 2
    assert found["flipped_to_right"] == 1
    assert found["mcnemar_p_value"] == 1.0


def files_of(folder, form, **others):
    """A graph's file and the baseline's."""
    graphs = {"baseline": tiny_graph(), "variant": tiny_graph(form), **others}
    for name, graph in graphs.items():
        write_graph(folder / f"{name}.onnx", graph, card_of())
    return folder / "variant.onnx", folder / "baseline.onnx"


OPTIONS = {"batch_size": 32, "threads": 1}


def test_an_evaluation_from_end_to_end(tmp_path):
    graph, baseline = files_of(tmp_path, "channel")
    split = Images(images(60, seed=5).numpy())
    found = evaluate(graph, baseline, split, **OPTIONS)
    original = open_engine(baseline, 1).predict(split.images()).argmax(1)
    assert found.metrics["n_images"] == 60
    expected = open_engine(graph, 1).predict(split.images()).argmax(1)
    assert found.metrics["top1_accuracy"] == (expected == split.labels).mean()
    assert np.array_equal(found.baseline_predictions, original)
    assert found.metrics["onnx_size_bytes"] == graph.stat().st_size
    assert found.metrics["onnx_gzipped_bytes"] < found.metrics["onnx_size_bytes"]
    assert found.metrics["layers_with_weights"] == found.metrics["layers_executed_int8"] == 7
    assert found.metrics["layers_stored_in_8_bits"] == 7
    assert found.metrics["finding"] is None
    assert found.measured["integer_path"] in ("u8s8", "u8u8, exact")
    assert {layer.executed for layer in found.layers} == {"int8"}
    again = evaluate(graph, baseline, split, **OPTIONS)
    assert again.metrics == found.metrics
    assert np.array_equal(again.logits, found.logits)
    own = evaluate(baseline, baseline, split, **OPTIONS)
    assert own.metrics["flipped_predictions"] == 0
    assert own.measured["integer_path"] is None


def test_asked_for_8_bits_and_ran_in_float_is_a_finding(tmp_path):
    graph, baseline = files_of(tmp_path, None, variant=weights_alone_in_8_bits())
    found = evaluate(graph, baseline, Images(images(20).numpy()), **OPTIONS)
    assert found.metrics["layers_stored_in_8_bits"] == 7
    assert found.metrics["layers_executed_int8"] == 0
    assert found.metrics["finding"] == (
        "Asked for 8 bits, ran in float: ONNX Runtime computed 7 of the 7 layers that are stored "
        "in 8 bits in float32."
    )


@needs_openvino
def test_engines_are_compared_with_each_other(tmp_path):
    graph, baseline = files_of(tmp_path, "extremes")
    split = Images(images(60, seed=5).numpy())
    found = evaluate(graph, baseline, split, **OPTIONS, engines=["onnxruntime", "openvino"])
    metrics = found.metrics
    differ = open_engine(graph, 1, "openvino").predict(split.images()).argmax(1) != (
        found.logits.argmax(1)
    )
    assert metrics["engines"] == ["onnxruntime", "openvino"]
    assert metrics["openvino_disagreement_share"] == differ.mean()
    assert metrics["engines_disagreement_share"] == differ.mean()
    assert metrics["layers_executed_int8"] == 7
    assert metrics["openvino_layers_executed_float32"] >= 4
    assert "ran in float: OpenVINO computed" in metrics["finding"]
    assert found.measured["openvino_peak_memory_mib"] > 20


def test_what_a_further_engine_cannot_run_is_a_finding(tmp_path, monkeypatch):
    graph, baseline = files_of(tmp_path, "channel")
    from squeezed.evaluation import engine_matrix

    def refuse(path, threads, engine):
        if engine == "openvino":
            raise CannotRun(f"{path} cannot be run by OpenVINO (no such operator)")
        return open_engine(path, threads, engine)

    monkeypatch.setattr(engine_matrix, "open_engine", refuse)
    split = Images(images(20).numpy())
    found = evaluate(graph, baseline, split, **OPTIONS, engines=["onnxruntime", "openvino"])
    assert found.metrics["openvino_disagreement_share"] is None
    assert found.metrics["openvino_layers_executed_int8"] is None
    assert "OpenVINO cannot run it" in found.metrics["finding"]
    assert found.measured["openvino_peak_memory_mib"] is None


def test_all_variants_are_timed_side_by_side(tmp_path):
    files_of(tmp_path, None, wide=tiny_graph(widths=(4, 64, 128, 128)))
    files = {name: tmp_path / f"{name}.onnx" for name in ("baseline", "variant", "wide")}
    options = {"batch_size": 32, "repeats": 3, "timed_images": 320, "latency_runs": 5, "threads": 1}
    split = Images(images(60).numpy())
    times = time_inference(files, split, baseline="baseline", **options)
    assert set(times) == set(files)
    for own in times.values():
        assert own["time_10000_s_min"] <= own["time_10000_s"] <= own["time_10000_s_max"]
        assert own["speedup_min"] <= own["speedup"] <= own["speedup_max"]
        assert own["latency_p50_ms"] <= own["latency_p95_ms"]
    assert times["baseline"]["speedup"] == 1
    assert times["wide"]["speedup"] < 0.8 < times["variant"]["speedup_max"]


@needs_openvino
def test_each_engine_is_timed_beside_the_others(tmp_path):
    graph, baseline = files_of(tmp_path, "channel")
    options = {"batch_size": 32, "repeats": 1, "timed_images": 64, "latency_runs": 2, "threads": 1}
    times = time_inference(
        {"variant": graph, "start": baseline},
        Images(images(60).numpy()),
        baseline="start",
        engines=["onnxruntime", "openvino"],
        **options,
    )
    assert times["start"]["speedup"] == times["start"]["openvino_speedup"] == 1
    own = times["variant"]
    ratio = own["time_10000_s"] / own["openvino_time_10000_s"]
    assert own["openvino_over_onnxruntime"] == pytest.approx(ratio, rel=0.01)
    assert own["openvino_latency_p50_ms"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_peak_memory_is_of_the_graph_alone(tmp_path):
    """A process of its own: what this one holds does not count."""
    path, _ = files_of(tmp_path, None)
    ballast = np.ones(300 * 2**20, dtype=np.uint8)
    small, large = (
        peak_memory_bytes(path, threads=1, batch_size=n, image_shape=(3, *SIZE))
        for n in (1, 50_000)
    )
    assert 20 * 2**20 < small < len(ballast)
    assert large - small > 50_000 * 3 * 8 * 8 * 4


def test_evaluation_loads_no_torch():
    code = (
        "import sys, squeezed.evaluation.evaluation, squeezed.evaluation.predictions, "
        "squeezed.evaluation.inference_timing; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
