"""The exported file: valid, self-describing, and the same function as the reference engine.

The two engines of a quantized model can differ where a value falls on the border between two
steps: PyTorch adds in float32, ONNX Runtime in int32. One step of the last layers' input moves a
logit by at most a few thousandths of the logits' range; `BOUND` is what is allowed of that range.
"""

import copy
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from squeezed.steps.ablation import ablate_convolutions
from squeezed.steps.pruning import apply_masks, pruning_masks

from squeezed.foundation.errors import UserError
from squeezed.graphs.engine import Engine
from squeezed.graphs.export import export_onnx
from squeezed.graphs.integer_weights import (
    int8_products_are_exact,
    pad_image_channels,
    prepare_weights,
    shift_to_int8,
)
from squeezed.networks import VGG6, Classifier
from squeezed.networks.network_file import ModelCard
from squeezed.steps.quantization import quantize_linear_layers, quantize_model
from tests.steps.networks import (
    CLASSES,
    MEAN,
    SIZE,
    STD,
    disturb,
    images,
    narrow_vgg16,
    resnet18,
    tiny_vgg,
)

BOUND = 0.02


def card_of(size=SIZE, quantization=None, variant="baseline", classes=CLASSES):
    names = [f"class {k}" for k in range(classes)]
    return ModelCard("vgg6", {}, size, names, MEAN, STD, variant, 0, quantization=quantization)


def variants_of(model, size=SIZE):
    """(variant, model, description) of each kind."""
    batches = [images(16, size, seed=7)]
    pruned = copy.deepcopy(model)
    apply_masks(pruned.network, pruning_masks(pruned.network, 0.2))
    yield "baseline", model, None
    yield "pruned", pruned, None
    yield "quantized", *quantize_model(model, batches)
    yield "pruned_quantized", *quantize_model(pruned, batches)
    yield "linear_quantized", *quantize_linear_layers(model)


def both_engines(path, model, batch):
    """Logits of the reference and of the deployed engine."""
    with torch.no_grad():
        reference = model(batch).numpy()
    return reference, Engine(path, threads=1).logits(batch.numpy())


@pytest.mark.parametrize("index", range(5))
def test_each_variant_computes_what_its_reference_does(index, tmp_path):
    variant, model, description = list(variants_of(tiny_vgg()))[index]
    path = tmp_path / "model.onnx"
    export_onnx(path, model, card_of(quantization=description, variant=variant))
    reference, deployed = both_engines(path, model, images(200, seed=1))
    bound = BOUND if description else 1e-5
    assert np.abs(reference - deployed).max() <= bound * np.ptp(reference)


def test_ablated(tmp_path):
    model, _ = ablate_convolutions(tiny_vgg(), 1, SIZE, seed=0)
    export_onnx(tmp_path / "model.onnx", model, card_of())
    reference, deployed = both_engines(tmp_path / "model.onnx", model, images(20))
    assert np.allclose(reference, deployed, atol=1e-4)


@pytest.mark.parametrize("make", [narrow_vgg16, resnet18])
def test_torchvision_networks_go_through_all_of_it(make, tmp_path):
    """Random weights, 32×32 images: VGG-16 averages 1×1 to 7×7 there, ResNet adds shortcuts."""
    size = (32, 32)
    for variant, model, description in variants_of(make(), size):
        path = tmp_path / f"{variant}.onnx"
        export_onnx(path, model, card_of(size, description, variant))
        reference, deployed = both_engines(path, model, images(8, size, seed=1))
        difference = np.abs(reference - deployed) / np.ptp(reference)
        if description:
            # Most logits agree to float32's precision. Where a value falls to the other side of a
            # border, layers of random weights make more of it than trained ones.
            assert np.median(difference) <= 0.005, variant
            assert difference.max() <= 0.1, variant
        else:
            assert difference.max() <= 1e-4, variant


def test_integer_kernels_compute_every_quantized_layer(tmp_path):
    """ONNX Runtime fuses all layers: none computes in float32."""
    model, description = quantize_model(tiny_vgg(), [images(16)])
    export_onnx(tmp_path / "model.onnx", model, card_of(quantization=description))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), options, ["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("QLinearConv") == 4
    assert kinds.count("QGemm") == 3
    assert not {"Conv", "FusedConv", "Gemm", "FusedGemm"} & set(kinds)


def test_the_file_describes_itself_and_reproduces(tmp_path):
    model, description = quantize_model(tiny_vgg(), [images(16)])
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for path in (first, second):
        export_onnx(path, model, card_of(quantization=description, variant="quantized"))
    assert first.read_bytes() == second.read_bytes()
    loaded = onnx.load(first)
    onnx.checker.check_model(loaded, full_check=True)
    metadata = {entry.key: entry.value for entry in loaded.metadata_props}
    assert json.loads(metadata["classes"]) == [f"class {k}" for k in range(CLASSES)]
    assert json.loads(metadata["input_range"]) == [0, 1]
    assert json.loads(metadata["normalisation"])["mean"] == MEAN
    assert metadata["variant"] == "quantized"
    (entry,) = loaded.graph.input
    dimensions = entry.type.tensor_type.shape.dim
    assert entry.name == "images"
    assert [d.dim_param or d.dim_value for d in dimensions] == ["n", 3, *SIZE]
    assert Engine(first, 1).class_names == json.loads(metadata["classes"])


def test_weights_are_stored_as_bytes(tmp_path):
    network = VGG6(10, (32, 32))
    model = Classifier(disturb(network), MEAN, STD).eval()
    quantized, description = quantize_model(model, [images(8, (32, 32))])
    export_onnx(tmp_path / "baseline.onnx", model, card_of((32, 32), classes=10))
    export_onnx(
        tmp_path / "quantized.onnx",
        quantized,
        card_of((32, 32), description, "quantized", classes=10),
    )
    size = {p.stem: p.stat().st_size for p in tmp_path.glob("*.onnx")}
    assert size["quantized"] <= 0.27 * size["baseline"]


@pytest.mark.parametrize("scheme", ["static", "dynamic"])
def test_int8_weights_give_the_same_logits_as_uint8(scheme, tmp_path):
    """Bit for bit: both add the same integers."""
    if not int8_products_are_exact():
        pytest.skip("int8 products saturate on this processor")
    model = tiny_vgg()
    if scheme == "static":
        quantized, description = quantize_model(model, [images(16)])
    else:
        quantized, description = quantize_linear_layers(model)
    path = tmp_path / "model.onnx"
    export_onnx(path, quantized, card_of(quantization=description))
    shifted = onnx.load(path)
    assert shift_to_int8(shifted) == len(description["layers"])
    onnx.checker.check_model(shifted, full_check=True)
    onnx.save(shifted, tmp_path / "int8.onnx")
    batch = images(100, seed=3).numpy()
    logits = Engine(path, 1).logits(batch)
    assert np.array_equal(logits, Engine(tmp_path / "int8.onnx", 1).logits(batch))


@pytest.mark.parametrize(("centred", "padded_layers"), [(True, 1), (False, 0)])
def test_an_empty_channel_leaves_the_logits_as_they_are(centred, padded_layers, tmp_path):
    """Bit for bit; and only where the weights have no zero point is there a kernel to gain."""
    if not int8_products_are_exact():
        pytest.skip("int8 products saturate on this processor")
    model, description = quantize_model(tiny_vgg(), [images(16)], centred=centred)
    path = tmp_path / "model.onnx"
    export_onnx(path, model, card_of(quantization=description))
    padded = onnx.load(path)
    shift_to_int8(padded)
    assert pad_image_channels(padded) == padded_layers
    assert pad_image_channels(padded) == 0  # nothing is left to pad
    onnx.checker.check_model(padded, full_check=True)
    onnx.save(padded, tmp_path / "padded.onnx")
    batch = images(100, seed=3).numpy()
    logits = Engine(path, 1).logits(batch)
    assert np.array_equal(logits, Engine(tmp_path / "padded.onnx", 1).logits(batch))


@pytest.mark.parametrize("reader", ["weight", "input", "groups"])
def test_a_convolution_that_shares_what_it_reads_is_not_padded(reader):
    """Wider weights or inputs would be wrong for the other layer that reads them, or by group."""
    groups = 3 if reader == "groups" else 1
    constants = [
        numpy_helper.from_array(np.ones((6, 3 // groups, 1, 1), np.int8), "weight"),
        numpy_helper.from_array(np.float32(0.1), "scale"),
        numpy_helper.from_array(np.int8(0), "zero"),
        numpy_helper.from_array(np.uint8(7), "input_zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "scale", "input_zero"], ["integers"]),
        helper.make_node("DequantizeLinear", ["integers", "scale", "input_zero"], ["values"]),
        helper.make_node("DequantizeLinear", ["weight", "scale", "zero"], ["weights"]),
        helper.make_node("Conv", ["values", "weights"], ["sums"], "conv", group=groups),
    ]
    outputs = [helper.make_tensor_value_info("sums", onnx.TensorProto.FLOAT, None)]
    if reader in ("weight", "input"):
        shared = {"weight": "weights", "input": "values"}[reader]
        nodes.append(helper.make_node("Relu", [shared], ["other"]))
        outputs.append(helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, None))
    graph = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 3, 4, 4])],
        outputs,
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    before = model.SerializeToString()
    assert pad_image_channels(model) == 0
    assert model.SerializeToString() == before


def test_weights_are_not_shifted_where_products_saturate(tmp_path, monkeypatch):
    model, description = quantize_model(tiny_vgg(), [images(16)])
    path = tmp_path / "model.onnx"
    export_onnx(path, model, card_of(quantization=description))
    monkeypatch.setattr("squeezed.graphs.integer_weights.int8_products_are_exact", lambda: False)
    assert prepare_weights(path, tmp_path) == path


def test_float_models_run_as_they_are(tmp_path):
    export_onnx(tmp_path / "model.onnx", tiny_vgg(), card_of())
    assert prepare_weights(tmp_path / "model.onnx", tmp_path / "x") == tmp_path / "model.onnx"


def test_an_operation_without_an_onnx_form_is_named():
    class Odd(torch.nn.Module):
        def forward(self, values):
            return torch.erf(values).mean((2, 3))

    model = Classifier(Odd(), MEAN, STD)
    with pytest.raises(UserError, match="erf"):
        export_onnx("unused.onnx", model, card_of(classes=3))


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_text("not a model")
    with pytest.raises(UserError, match=r"model\.onnx cannot be run"):
        Engine(tmp_path / "model.onnx", 1)
