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
from squeezed.steps.pruning import apply_masks, pruning_masks
from torch import nn

from squeezed.evaluation.evaluation import Files, evaluate
from squeezed.evaluation.inference_timing import time_inference
from squeezed.evaluation.predictions import (
    accuracy_metrics,
    confidences,
    write_classes,
    write_predictions,
)
from squeezed.graphs import timing
from squeezed.graphs.export import export_onnx
from squeezed.graphs.layers import list_layers, totals
from squeezed.graphs.peak_memory import peak_memory_bytes
from squeezed.graphs.sizes import gzipped_bytes
from squeezed.networks import VGG6, Classifier
from squeezed.steps.quantization import quantize_linear_layers, quantize_model
from tests.graphs.test_export import card_of
from tests.steps.networks import CLASSES, MEAN, SIZE, STD, disturb, images, tiny_vgg


def layers_of(model, path, description=None):
    export_onnx(path, model, card_of(quantization=description))
    return list_layers(onnx.load(path))


def arithmetic_by_hooks(model):
    """Multiply–accumulates of each layer for one image, counted from what it computes."""
    counts = {}

    def count(name, module):
        def hook(_, inputs, output):
            if isinstance(module, nn.Conv2d):
                each = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
                counts[name] = output[0].numel() * each
            else:
                counts[name] = output[0].numel() * module.in_features

        return hook

    for name, module in model.network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count(name, module))
    model(images(1))
    return counts


def test_layers_count_parameters_and_arithmetic(tmp_path):
    model = tiny_vgg()
    layers = layers_of(model, tmp_path / "model.onnx")
    assert totals(layers)["parameters"] == sum(p.numel() for p in model.parameters())
    counts = {
        layer.layer: layer.multiply_accumulates for layer in layers if layer.kind != "batch_norm"
    }
    assert counts == arithmetic_by_hooks(model)


def test_vgg6_has_the_stated_number_of_parameters(tmp_path):
    model = Classifier(disturb(VGG6(10)), MEAN, STD).eval()
    export_onnx(tmp_path / "model.onnx", model, card_of((32, 32), classes=10))
    found = totals(list_layers(onnx.load(tmp_path / "model.onnx")))
    assert found["parameters"] == 2_737_690
    assert found["multiply_accumulates"] == 14_865_408


@pytest.mark.parametrize("scheme", ["none", "static", "dynamic"])
def test_zeros_are_counted_in_every_form(scheme, tmp_path):
    model = tiny_vgg()
    masks = pruning_masks(model.network, 0.5)
    apply_masks(model.network, masks)
    description = None
    if scheme == "static":
        model, description = quantize_model(model, [images(8)])
    elif scheme == "dynamic":
        model, description = quantize_linear_layers(model)
    layers = {layer.layer: layer for layer in layers_of(model, tmp_path / "m.onnx", description)}
    for name, mask in masks.items():
        layer = layers[name.removesuffix(".weight")]
        weight = model.network.get_submodule(layer.layer).weight
        zeros = int((weight == 0).sum())
        assert layer.sparsity == pytest.approx(zeros / mask.numel())
        assert zeros >= int((~mask).sum())
        assert layer.shape == "x".join(map(str, mask.shape))
        share = layer.remaining_multiply_accumulates / layer.multiply_accumulates
        assert share == pytest.approx(1 - layer.sparsity)


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


def test_tables_of_predictions_and_classes(tmp_path):
    labels = np.array([0, 1, 1])
    logits = np.array([[2.0, 0.0], [0.0, 1000.0], [3.0, 0.0]], dtype=np.float32)
    baseline = np.array([0, 1, 1])
    write_predictions(tmp_path / "p.csv", labels, logits, baseline)
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "index,label,prediction,confidence,baseline_prediction",
        "0,0,0,0.880797,0",
        "1,1,1,1.000000,1",
        "2,1,0,0.952574,1",
    ]
    write_classes(tmp_path / "c.csv", ["no", "yes"], labels, logits.argmax(axis=1), baseline)
    assert (tmp_path / "c.csv").read_text().splitlines()[1:] == ["no,1,1,1,0", "yes,2,1,2,1"]
    assert np.allclose(confidences(logits), torch.from_numpy(logits).softmax(1).amax(1))


class Images:
    """A split of random images."""

    def __init__(self, n):
        self._images = images(n, seed=5).numpy()
        self.labels = np.arange(n) % CLASSES

    def __len__(self):
        return len(self.labels)

    def images(self, indices=None):
        return self._images if indices is None else self._images[indices]

    def batches(self, batch_size, indices=None):
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self._images[part], self.labels[part]


def test_an_evaluation_from_end_to_end(tmp_path):
    model = tiny_vgg()
    quantized, description = quantize_model(model, [images(32)])
    export_onnx(tmp_path / "baseline.onnx", model, card_of())
    export_onnx(tmp_path / "quantized.onnx", quantized, card_of(quantization=description))
    (tmp_path / "quantized.safetensors").write_bytes(b"0123456789")
    files = Files(
        tmp_path / "quantized.safetensors", tmp_path / "quantized.onnx", tmp_path / "baseline.onnx"
    )
    split = Images(60)
    options = {"batch_size": 32, "threads": 1}
    found = evaluate(files, split, **options)
    with torch.no_grad():
        expected = quantized(torch.from_numpy(split.images())).argmax(1).numpy()
        baseline = model(torch.from_numpy(split.images())).argmax(1).numpy()
    assert found.metrics["n_images"] == 60
    assert abs(found.metrics["top1_accuracy"] - (expected == split.labels).mean()) <= 1 / 60
    assert np.array_equal(found.baseline_predictions, baseline)
    assert found.metrics["model_size_bytes"] == 10
    assert found.metrics["onnx_gzipped_bytes"] < found.metrics["onnx_size_bytes"]
    again = evaluate(files, split, **options)
    assert again.metrics == found.metrics
    assert np.array_equal(again.logits, found.logits)

    own = Files(files.model, files.baseline_onnx, files.baseline_onnx)
    baseline_found = evaluate(own, split, **options)
    assert baseline_found.metrics["flipped_predictions"] == 0


def test_all_variants_are_timed_side_by_side(tmp_path):
    narrow, wide = tiny_vgg(), tiny_vgg(widths=(4, 64, 128, 128))
    for name, model in (("baseline", narrow), ("same", narrow), ("wide", wide)):
        export_onnx(tmp_path / f"{name}.onnx", model, card_of())
    files = {name: tmp_path / f"{name}.onnx" for name in ("baseline", "same", "wide")}
    options = {"batch_size": 32, "repeats": 3, "timed_images": 320, "latency_runs": 5, "threads": 1}
    times = time_inference(files, Images(60), **options)
    assert set(times) == set(files)
    for own in times.values():
        assert own["time_10000_s_min"] <= own["time_10000_s"] <= own["time_10000_s_max"]
        assert own["speedup_min"] <= own["speedup"] <= own["speedup_max"]
        assert own["latency_p50_ms"] <= own["latency_p95_ms"]
    assert times["baseline"]["speedup"] == 1
    assert times["wide"]["speedup"] < 0.8 < times["same"]["speedup_max"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_peak_memory_is_of_the_model_alone(tmp_path):
    """A process of its own: what this one holds does not count."""
    export_onnx(tmp_path / "model.onnx", tiny_vgg(), card_of())
    ballast = np.ones(300 * 2**20, dtype=np.uint8)
    small = peak_memory_bytes(tmp_path / "model.onnx", threads=1, batch_size=1, image_size=SIZE)
    large = peak_memory_bytes(
        tmp_path / "model.onnx", threads=1, batch_size=50_000, image_size=SIZE
    )
    assert 20 * 2**20 < small < len(ballast)
    assert large - small > 50_000 * 3 * 8 * 8 * 4


def test_evaluation_loads_no_torch():
    code = (
        "import sys, squeezed.evaluation.evaluation, squeezed.evaluation.predictions, "
        "squeezed.graphs.layers; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
