"""8-bit graphs: Algorithm 1 by brute force, and what must hold of every graph that is quantized."""

import copy
import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from squeezed.foundation.errors import UserError
from squeezed.graphs.export import export_network
from squeezed.steps.image_channels import pad_image_channels
from squeezed.steps.quantize import QuantizeSettings, layers_with_weights, quantize
from squeezed.steps.step import Workshop
from squeezed.steps.weight_ranges import quantize_weight, scale_and_zero_point
from tests.steps.networks import CLASSES, SIZE, images, resnet18, tiny_vgg

tensors = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=6),
    elements=st.floats(-1000, 1000, width=32),
).filter(lambda values: np.ptp(values) > 1e-3)

STATIC = QuantizeSettings("static", "channel", "minmax", 64, "all", "centred")
DYNAMIC = dataclasses.replace(STATIC, scheme="dynamic", layers="linear")
EXTREMES = dataclasses.replace(STATIC, granularity="tensor", weight_range="extremes")


class Split:
    """Images to calibrate on."""

    def __init__(self, pixels):
        self._images = pixels
        self.labels = np.arange(len(pixels)) % CLASSES

    def __len__(self):
        return len(self.labels)

    def images(self, indices=None):
        return self._images if indices is None else self._images[indices]

    def batches(self, batch_size, indices=None):
        indices = np.arange(len(self)) if indices is None else indices
        for start in range(0, len(indices), batch_size):
            part = indices[start : start + batch_size]
            yield self._images[part], self.labels[part]


def workshop(n=64, size=SIZE, seed=0):
    """A data set that has training images alone."""

    class Data:
        train = Split(images(n, size, seed=7).numpy())

    return Workshop(Data(), seed, "cpu", 1, None)


@pytest.fixture(scope="module")
def parent():
    """A narrow VGG-6's graph."""
    return export_network(tiny_vgg(), SIZE)


def constants_of(model):
    return {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}


def run(model, batch, optimised=True):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return session.run(None, {"images": np.asarray(batch)})[0]


def kernels_of(model, folder):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


@given(tensors)
@hypothesis_settings(deadline=None)
def test_weights_follow_the_formula(values):
    quantized, scale, zero_point = quantize_weight(values)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    sigma = np.float32((high - low) / 255)
    mu = np.clip(np.rint(-low / float(sigma)), 0, 255)
    assert float(scale) == sigma
    assert int(zero_point) == mu
    for index, value in np.ndenumerate(values):
        expected = np.clip(np.rint(value / sigma) + mu, 0, 255)
        assert int(quantized[index]) == expected


@given(tensors)
@hypothesis_settings(deadline=None)
def test_round_trip_errs_by_half_a_step_and_keeps_zero(values):
    values[np.unravel_index(0, values.shape)] = 0
    if np.ptp(values) <= 1e-3:
        return
    quantized, scale, zero_point = quantize_weight(values)
    back = (quantized.astype(np.float32) - zero_point) * scale
    assert np.abs(back - values).max() <= float(scale) * 0.5 * (1 + 1e-4)
    assert (back[values == 0] == 0).all()


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 255.0, 1.0, 0),
        (-255.0, 0.0, 1.0, 255),
        (-1.0, 254.0, 1.0, 1),
        (51.0, 255.0, 1.0, 0),  # zero is inside the range, always
        (-510.0, -1.0, 2.0, 255),
    ],
)
def test_scale_and_zero_point_of_known_ranges(low, high, scale, zero_point):
    assert scale_and_zero_point(low, high) == (scale, zero_point)


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0])
def test_a_constant_tensor_spans_no_range(value):
    with pytest.raises(UserError, match="span no range"):
        quantize_weight(np.full((3, 2), value, np.float32))


@pytest.mark.parametrize("scheme", ["static", "dynamic"])
def test_the_file_holds_algorithm_1_to_the_letter(scheme, parent):
    """σ, μ and every q of every layer against the formula, by brute force in float64."""
    settings = dataclasses.replace(EXTREMES, scheme=scheme, layers="linear")
    if scheme == "static":
        settings = EXTREMES
    made = quantize(parent, settings, workshop()).graph
    before, after = constants_of(parent), constants_of(made)
    layers = layers_with_weights(parent)
    if scheme == "dynamic":
        layers = {name: node for name, node in layers.items() if node.op_type == "Gemm"}
    for name in layers:
        weight = before[f"{name}.weight"]
        stem = f"{name}.weight" + ("_Transposed" if scheme == "dynamic" else "")
        q = after[f"{stem}_quantized"]
        q = q.T if scheme == "dynamic" else q
        sigma, mu = after[f"{stem}_scale"], after[f"{stem}_zero_point"]
        low, high = min(float(weight.min()), 0.0), max(float(weight.max()), 0.0)
        assert sigma == np.float32((high - low) / 255)
        assert q.dtype == mu.dtype == np.uint8
        assert mu.size == 1
        assert int(mu) == np.clip(np.rint(-low / float(sigma)), 0, 255)
        for index, value in np.ndenumerate(weight):
            assert int(q[index]) == np.clip(np.rint(value / np.float32(sigma)) + int(mu), 0, 255)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_weights_are_symmetric_and_signed(granularity, parent):
    settings = dataclasses.replace(STATIC, granularity=granularity)
    made = quantize(parent, settings, workshop()).graph
    before, after = constants_of(parent), constants_of(made)
    for name, node in layers_with_weights(parent).items():
        weight, q = before[f"{name}.weight"], after[f"{name}.weight_quantized"]
        scale, zero = after[f"{name}.weight_scale"], after[f"{name}.weight_zero_point"]
        assert q.dtype == zero.dtype == np.int8
        assert not zero.any()
        assert scale.size == (len(weight) if granularity == "channel" else 1)
        q = q[:, : weight.shape[1]]  # the image's empty channel
        sides = [-1] + [1] * (weight.ndim - 1) if scale.size > 1 else []
        error = np.abs(q * scale.reshape(sides) - weight)
        assert (error <= scale.reshape(sides) * 0.5 * (1 + 1e-3)).all(), node.name
        assert (q[weight == 0] == 0).all()


def test_biases_are_int32_in_units_of_both_scales(parent):
    made = quantize(parent, STATIC, workshop()).graph
    before, after = constants_of(parent), constants_of(made)
    node = layers_with_weights(parent)["classifier.0"]
    bias = after["classifier.0.bias_quantized"]
    scale = after["classifier.0.bias_quantized_scale"]
    assert bias.dtype == np.int32
    expected = after.get(f"{node.input[0]}_scale")
    if expected is not None:
        assert np.allclose(scale, expected * after["classifier.0.weight_scale"])
    assert np.allclose(bias * scale, before["classifier.0.bias"], atol=float(scale.max()) * 0.51)


@pytest.mark.parametrize(
    "settings",
    [
        STATIC,
        dataclasses.replace(STATIC, granularity="tensor"),
        dataclasses.replace(STATIC, calibration="percentile"),
        dataclasses.replace(STATIC, calibration="entropy"),
        EXTREMES,
        DYNAMIC,
        dataclasses.replace(DYNAMIC, layers="all"),
        dataclasses.replace(STATIC, layers="linear"),
        dataclasses.replace(STATIC, layers=["features.3", "classifier.2"]),
    ],
    ids=lambda s: f"{s.scheme}-{s.granularity}-{s.calibration}-{s.layers}-{s.weight_range}",
)
def test_logits_stay_close_and_bytes_reproduce(settings, parent, capfd):
    before = parent.SerializeToString(deterministic=True)
    made = quantize(parent, settings, workshop())
    again = quantize(parent, settings, workshop())
    assert parent.SerializeToString(deterministic=True) == before
    bytes_ = made.graph.SerializeToString(deterministic=True)
    assert again.graph.SerializeToString(deterministic=True) == bytes_
    onnx.checker.check_model(made.graph, full_check=True)
    batch = images(40, seed=3).numpy()
    expected, found = run(parent, batch), run(made.graph, batch)
    assert np.abs(found - expected).max() <= 0.1 * np.ptp(expected)
    assert not np.array_equal(found, expected)
    assert capfd.readouterr().out == ""
    wanted = settings.layers if isinstance(settings.layers, list) else None
    count = len(wanted) if wanted else {"all": 7, "linear": 3}[settings.layers]
    assert made.metrics["quantized_layers"] == count
    assert made.metrics["layers_with_weights"] == 7


@pytest.mark.parametrize(
    "settings", [STATIC, EXTREMES, DYNAMIC], ids=["static", "paper", "dynamic"]
)
def test_onnx_reference_computes_the_same(settings, parent):
    """ONNX's own definition of each operator; a value on a border may fall to either side."""
    made = quantize(parent, settings, workshop()).graph
    batch = images(20, seed=3).numpy()
    (reference,) = onnx.reference.ReferenceEvaluator(made).run(None, {"images": batch})
    plain = run(made, batch, optimised=False)
    assert np.median(np.abs(reference - plain)) <= 1e-3 * np.ptp(reference)
    assert np.abs(reference - plain).max() <= 0.05 * np.ptp(reference)
    assert (run(made, batch).argmax(1) == plain.argmax(1)).mean() >= 0.9


def test_every_layer_of_a_residual_network_runs_on_integer_kernels(tmp_path):
    """The additions, too: none computes in float32."""
    made = quantize(export_network(resnet18(), (32, 32)), STATIC, workshop(16, (32, 32))).graph
    kernels = kernels_of(made, tmp_path)
    assert kernels.count("QLinearConv") == 20
    assert kernels.count("QLinearAdd") == 8
    assert kernels.count("QGemm") == 1
    assert not {"Conv", "FusedConv", "Gemm", "FusedGemm", "Add", "Relu"} & set(kernels)


def test_pruned_weights_stay_exactly_zero():
    model = tiny_vgg()
    for parameter in model.network.parameters():
        if parameter.dim() > 1:
            parameter.data[torch.rand_like(parameter) < 0.4] = 0
    parent = export_network(model, SIZE)
    before, after = constants_of(parent), constants_of(quantize(parent, STATIC, workshop()).graph)
    for name in layers_with_weights(parent):
        weight = before[f"{name}.weight"]
        q = after[f"{name}.weight_quantized"][:, : weight.shape[1]]
        assert (weight == 0).mean() > 0.3
        assert (q[weight == 0] == 0).all()


def test_weights_are_stored_as_bytes():
    parent = export_network(resnet18(), (32, 32))
    made = quantize(parent, STATIC, workshop(8, (32, 32))).graph
    assert made.ByteSize() <= 0.27 * parent.ByteSize()


def test_calibration_sees_the_extremes_of_all_batches(parent):
    """Ranges of two half sets together are those of the whole; and one image is not enough."""
    scales = []
    for n in (64, 1):
        settings = dataclasses.replace(STATIC, calibration_images=n)
        made = constants_of(quantize(parent, settings, workshop()).graph)
        scales.append({k: v for k, v in made.items() if k.endswith("normalise.div_scale")})
    (whole,), (one,) = (s.values() for s in scales)
    pixels = workshop().dataset.train.images()
    constants = constants_of(parent)
    normalised = (pixels - constants["normalise.mean"]) / constants["normalise.std"]
    assert float(whole) == pytest.approx(float(np.ptp(normalised)) / 255, rel=1e-5)
    assert float(one) < float(whole)


def test_the_empty_channel_leaves_the_logits_as_they_are(parent, monkeypatch):
    """Bit for bit; and only where the weights have no zero point is there a kernel to gain."""
    made = quantize(parent, STATIC, workshop()).graph
    monkeypatch.setattr("squeezed.steps.quantize.pad_image_channels", lambda model: [])
    plain = quantize(parent, STATIC, workshop()).graph
    wide, narrow = (constants_of(g)["features.0.weight_quantized"] for g in (made, plain))
    assert (wide.shape[1], narrow.shape[1]) == (4, 3)
    assert not wide[:, 3].any()
    batch = images(100, seed=3).numpy()
    assert np.array_equal(run(made, batch), run(plain, batch))
    assert pad_image_channels(made) == []  # nothing is left to pad
    assert pad_image_channels(quantize(parent, EXTREMES, workshop()).graph) == []


def convolution_by_hand(reader, side=1):
    """A quantized convolution of an image; `reader` says what another node shares with it."""
    groups = 3 if reader == "groups" else 1
    constants = [
        numpy_helper.from_array(np.ones((6, 3 // groups, side, side), np.int8), "weight"),
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
    outputs = [helper.make_tensor_value_info("sums", TensorProto.FLOAT, None)]
    if reader in ("weight", "input"):
        shared = {"weight": "weights", "input": "values"}[reader]
        nodes.append(helper.make_node("Relu", [shared], ["other"]))
        outputs.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, None))
    graph = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 8, 8])],
        outputs,
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(("side", "padded"), [(1, ["conv"]), (4, ["conv"]), (7, [])])
def test_large_filters_are_left_as_they_are(side, padded):
    assert pad_image_channels(convolution_by_hand(None, side)) == padded


@pytest.mark.parametrize("reader", ["weight", "input", "groups"])
def test_a_convolution_that_shares_what_it_reads_is_not_padded(reader):
    """Wider weights or inputs would be wrong for the other layer that reads them, or by group."""
    model = convolution_by_hand(reader)
    before = model.SerializeToString()
    assert pad_image_channels(model) == []
    assert model.SerializeToString() == before


def altered(parent, name, change):
    """The graph with one constant changed."""
    model = copy.deepcopy(parent)
    for constant in model.graph.initializer:
        if constant.name == name:
            values = numpy_helper.to_array(constant).copy()
            constant.CopyFrom(numpy_helper.from_array(change(values), name))
    return model


@pytest.mark.parametrize("settings", [STATIC, DYNAMIC, EXTREMES])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_weights_that_cannot_be_quantized_are_refused_by_layer(value, settings, parent):
    model = altered(parent, "classifier.2.weight", lambda w: np.full_like(w, value))
    with pytest.raises(UserError, match=r"the weights of layer classifier\.2 cannot be quantized"):
        quantize(model, settings, workshop())


def test_a_constant_weight_spans_no_range_in_algorithm_1_alone(parent):
    model = altered(parent, "classifier.2.weight", lambda w: np.full_like(w, 0.5))
    with pytest.raises(UserError, match=r"layer classifier\.2 .* spans no range"):
        quantize(model, EXTREMES, workshop())
    quantize(model, STATIC, workshop())


def test_a_dead_input_is_refused_by_layer(parent):
    model = altered(parent, "features.10.bias", lambda b: np.full_like(b, -1e6))
    with pytest.raises(UserError, match=r"the input of layer classifier\.0"):
        quantize(model, STATIC, workshop())


def test_a_layer_that_is_not_there_is_refused(parent):
    settings = dataclasses.replace(STATIC, layers=["classifier.9"])
    with pytest.raises(UserError, match=r"no layer 'classifier\.9' .* features\.0, features\.3"):
        quantize(parent, settings, workshop())


def test_algorithm_1_has_one_scale_for_a_layer(parent):
    settings = dataclasses.replace(EXTREMES, granularity="channel")
    with pytest.raises(UserError, match="set granularity to tensor"):
        quantize(parent, settings, workshop())
