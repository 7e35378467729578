"""A file of somebody else's becomes a graph that computes the same, or one sentence."""

import io
import pickle
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from squeezed.comparison.divergence import probe_of
from squeezed.foundation.errors import UserError
from squeezed.graphs.foreign.model import ForeignModel, open_foreign
from squeezed.graphs.foreign.opening import core_of
from squeezed.graphs.foreign.preprocessing import (
    CAFFE_MEAN,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
)
from tests.foreign.models import (
    CLASSES,
    HALF,
    INT8,
    UINT8,
    bound_to_its_batch,
    classifier,
    images,
    saved,
)

NAMES = [f"class {k}" for k in range(CLASSES)]
PLAIN = Preprocessing()


def run(model, given):
    session = onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else model.SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    return session.run(None, {session.get_inputs()[0].name: given})[0]


def opened(path, preprocessing=PLAIN, sample=None, **options) -> ForeignModel:
    sample = images() if sample is None else sample
    names = options.pop("class_names", NAMES)
    return open_foreign(path, preprocessing, names, sample.shape[2:], sample, **options)


def graph_of(path, preprocessing=PLAIN, sample=None, **options):
    model = opened(path, preprocessing, sample, **options)
    graph = model.graph()
    onnx.checker.check_model(graph, full_check=True)
    assert [value.name for value in graph.graph.input] == ["images"]
    assert [value.name for value in graph.graph.output] == ["logits"]
    return model, graph


def test_a_float_model_computes_the_same_inside_the_graph(tmp_path):
    given = images()
    path = saved(classifier(), tmp_path)
    before = path.read_bytes()
    _, graph = graph_of(path)
    np.testing.assert_array_equal(run(graph, given), run(before, given))
    assert path.read_bytes() == before


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
def test_mean_and_deviation_are_folded_into_the_graph(tmp_path, opset):
    given = images()
    path = saved(classifier(opset=opset), tmp_path)
    wanted = Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    shape = (1, 3, 1, 1)
    seen = (given - np.float32(IMAGENET_MEAN).reshape(shape)) / np.float32(IMAGENET_STD).reshape(
        shape
    )
    expected = run(path.read_bytes(), seen)
    model, graph = graph_of(path, wanted)
    np.testing.assert_allclose(run(graph, given), expected, atol=1e-5)
    np.testing.assert_allclose(model.logits(given), expected, atol=1e-5)


def test_a_range_and_the_order_of_the_channels_are_folded_into_the_graph(tmp_path):
    given = images()
    path = saved(classifier(), tmp_path)
    caffe = Preprocessing(range=(0, 255), mean=CAFFE_MEAN, channel_order="BGR")
    seen = given[:, ::-1] * 255 - np.float32(CAFFE_MEAN).reshape(1, 3, 1, 1)
    expected = run(path.read_bytes(), np.ascontiguousarray(seen.astype(np.float32)))
    model, graph = graph_of(path, caffe)
    np.testing.assert_allclose(run(graph, given), expected, atol=2e-3)
    np.testing.assert_allclose(model.logits(given), expected, atol=2e-3)


@pytest.mark.parametrize("element", [UINT8, INT8])
@pytest.mark.parametrize("last", [False, True])
def test_whole_numbers_and_channels_last_are_given_what_they_want(tmp_path, element, last):
    given = images()
    path = saved(classifier(element=element, last=last), tmp_path)
    whole = np.rint(given * 255) - (128 if element == INT8 else 0)
    whole = whole.transpose(0, 2, 3, 1) if last else whole
    kind = np.int8 if element == INT8 else np.uint8
    expected = run(path.read_bytes(), np.ascontiguousarray(whole.astype(kind)))
    model, graph = graph_of(path)
    np.testing.assert_array_equal(run(graph, given), expected)
    np.testing.assert_array_equal(model.logits(given), expected)


def test_half_precision_takes_and_gives_floats(tmp_path):
    given = images()
    path = saved(classifier(element=HALF), tmp_path)
    _, graph = graph_of(path)
    found = run(graph, given)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, run(path.read_bytes(), given.astype(np.float16)), atol=5e-3)


@pytest.mark.parametrize("softmax", [False, True])
def test_a_batch_of_one_is_freed(tmp_path, softmax):
    given = images(8)
    path = saved(classifier(batch=1, softmax=softmax, opset=9), tmp_path)
    alone = np.concatenate([run(path.read_bytes(), given[k : k + 1]) for k in range(8)])
    model, graph = graph_of(path)
    found = run(graph, given)
    assert found.shape == alone.shape
    if softmax:
        found = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert (found.argmax(axis=1) == model.logits(given).argmax(axis=1)).all()


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_a_batch_that_cannot_be_freed_is_filled(tmp_path, batch):
    given = images(7)
    expected = run(saved(classifier(), tmp_path).read_bytes(), given)
    bound = saved(bound_to_its_batch(classifier(batch=batch), batch), tmp_path, "bound.onnx")
    model = opened(bound)
    np.testing.assert_allclose(model.logits(given), expected, atol=1e-5)
    first, last = probe_of(model).activations(given)
    free = probe_of(opened(tmp_path / "model.onnx")).activations(given)
    np.testing.assert_allclose(first, free[0], atol=1e-5)
    np.testing.assert_allclose(last, free[1], atol=1e-5)


def test_one_channel_sees_grey(tmp_path):
    size = (9, 14)
    grey = images(size=size, channels=1)
    path = saved(classifier(channels=1, size=size), tmp_path)
    expected = run(path.read_bytes(), grey)
    model, graph = graph_of(path, sample=grey)
    np.testing.assert_allclose(run(graph, np.repeat(grey, 3, axis=1)), expected, atol=1e-5)
    np.testing.assert_array_equal(model.logits(grey), expected)


def test_probabilities_are_recognised_and_said(tmp_path):
    given = images()
    path = saved(classifier(softmax=True), tmp_path)
    logits = run(classifier().SerializeToString(), given)
    model, graph = graph_of(path)
    assert model.answers.probabilities
    assert any("probabilities" in note for note in model.notes)
    # The softmax is passed by: its logits are the model's own.
    np.testing.assert_allclose(run(graph, given), logits, atol=1e-6)
    assert not opened(saved(classifier(), tmp_path)).answers.probabilities


def test_names_of_ours_for_its_values_do_no_harm(tmp_path):
    given = images()
    path = saved(classifier(names=("logits", "images")), tmp_path)
    _, graph = graph_of(path)
    np.testing.assert_array_equal(run(graph, given), run(path.read_bytes(), given))


def test_names_of_ours_inside_do_no_harm(tmp_path):
    given = images()
    model = classifier()
    for node in model.graph.node:
        for values in (node.input, node.output):
            for k, value in enumerate(values):
                values[k] = {"c": "logits", "w": "images"}.get(value, value)
    next(t for t in model.graph.initializer if t.name == "w").name = "images"
    path = saved(model, tmp_path)
    _, graph = graph_of(path)
    np.testing.assert_array_equal(run(graph, given), run(path.read_bytes(), given))


class Images(CalibrationDataReader):
    def __init__(self):
        self.batches = iter(images(20, seed=3)[:, None])

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"x": batch}


@pytest.mark.parametrize("format", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_static_8_bits_compute_the_same(tmp_path, format):
    source, target = saved(classifier(), tmp_path), tmp_path / "int8.onnx"
    quantize_static(
        source, target, Images(), quant_format=format, per_channel=True,
        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
    )  # fmt: skip
    given = images()
    model, graph = graph_of(target)
    np.testing.assert_array_equal(run(graph, given), run(target.read_bytes(), given))
    np.testing.assert_array_equal(model.logits(given), run(target.read_bytes(), given))


def test_an_8_bit_output_is_given_as_numbers(tmp_path):
    source, target = saved(classifier(softmax=True), tmp_path), tmp_path / "int8.onnx"
    quantize_static(
        source, target, Images(), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8
    )
    model = onnx.load(target)
    last = model.graph.node[-1]
    assert last.op_type == "DequantizeLinear"
    integers = last.input[0]
    model.graph.node.remove(last)
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info(integers, TensorProto.UINT8, ["n", CLASSES])
    )
    given = images()
    found = opened(saved(model, tmp_path, "integers.onnx"))
    assert found.answers.probabilities
    expected = run(target.read_bytes(), given)
    np.testing.assert_allclose(
        np.exp(found.logits(given)), expected.clip(found.answers.floor), rtol=1e-5
    )


def test_dynamic_8_bits_see_each_image_alone(tmp_path):
    source, target = saved(classifier(), tmp_path), tmp_path / "dynamic.onnx"
    quantize_dynamic(source, target, weight_type=QuantType.QInt8)
    given = images()
    model, _ = graph_of(target)
    alone = np.concatenate([run(target.read_bytes(), given[k : k + 1]) for k in range(len(given))])
    np.testing.assert_array_equal(model.logits(given), alone)
    assert any("one by one" in note for note in model.notes)


def test_dynamic_8_bits_for_one_image_are_freed(tmp_path):
    source, target = saved(classifier(batch=1), tmp_path), tmp_path / "dynamic.onnx"
    quantize_dynamic(source, target, weight_type=QuantType.QInt8)
    given = images(4)
    alone = np.concatenate([run(target.read_bytes(), given[k : k + 1]) for k in range(4)])
    _, graph = graph_of(target)
    assert run(graph, given).shape == alone.shape
    found = np.concatenate([run(graph, given[k : k + 1]) for k in range(4)])
    np.testing.assert_array_equal(found, alone)


def external(tmp_path, location):
    model = classifier()
    tensor = next(t for t in model.graph.initializer if t.name == "w")
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(content)))):
        tensor.external_data.add(key=key, value=value)
    return model, content


def test_external_data_is_read_beside_the_file(tmp_path):
    model, content = external(tmp_path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(content)
    given = images()
    _, graph = graph_of(saved(model, tmp_path))
    np.testing.assert_array_equal(run(graph, given), run(classifier(), given))


@pytest.mark.parametrize("place", ["../weights.bin", "{folder}/weights.bin", "link.bin"])
def test_external_data_elsewhere_is_refused(tmp_path, place):
    inner = tmp_path / "model"
    inner.mkdir()
    model, content = external(tmp_path, place.format(folder=tmp_path))
    (tmp_path / "weights.bin").write_bytes(content)
    (inner / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(UserError, match="leads out of the model's folder"):
        core_of(saved(model, inner))


def test_external_data_that_is_cut_short_is_refused(tmp_path):
    model, content = external(tmp_path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(content[:-4])
    with pytest.raises(UserError, match="cut short"):
        core_of(saved(model, tmp_path))


@pytest.mark.parametrize("content", [b"", b"hello, this is a text", b"PK\x03\x04" + bytes(40)])
def test_what_is_not_onnx_is_refused(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match="is not an ONNX file"):
        core_of(tmp_path / "model.onnx")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = saved(classifier(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="is cut short or damaged"):
        core_of(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="not there"):
        core_of(tmp_path / "model.onnx")


def with_values(inputs, outputs):
    model = classifier()
    for name, element, shape in inputs:
        model.graph.input.append(helper.make_tensor_value_info(name, element, shape))
    for name, element, shape in outputs:
        model.graph.output.append(helper.make_tensor_value_info(name, element, shape))
    return model


def test_two_inputs_are_refused(tmp_path):
    model = with_values([("z", TensorProto.FLOAT, [1])], [])
    with pytest.raises(UserError, match=r"has 2 inputs \(x .*\): a classifier has one input"):
        core_of(saved(model, tmp_path))


def test_two_outputs_are_refused(tmp_path):
    model = with_values([], [("a", TensorProto.FLOAT, ["n", 8, 1, 1])])
    with pytest.raises(UserError, match="has 2 outputs"):
        core_of(saved(model, tmp_path))


def test_a_detector_is_refused(tmp_path):
    model = with_values([], [("boxes", TensorProto.FLOAT, ["n", 8, 1, 1])])
    with pytest.raises(UserError, match="is a detector"):
        core_of(saved(model, tmp_path))
    model = classifier()
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 100, 85])
    )
    with pytest.raises(UserError, match="as detectors and segmenters do"):
        core_of(saved(model, tmp_path))


def test_a_text_model_is_refused(tmp_path):
    tokens = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", 128])
        for name in ("input_ids", "attention_mask")
    ]
    graph = helper.make_graph(
        [helper.make_node("Cast", ["input_ids"], ["y"], to=TensorProto.FLOAT)],
        "text",
        tokens,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 128])],
    )
    with pytest.raises(UserError, match="is a text model"):
        core_of(saved(helper.make_model(graph), tmp_path))


def test_custom_operators_are_named(tmp_path):
    model = classifier()
    model.graph.node[1].op_type, model.graph.node[1].domain = "FancyRelu", "my.company"
    with pytest.raises(UserError, match=r"custom operators.*my\.company\.FancyRelu"):
        core_of(saved(model, tmp_path))


def test_images_of_another_size_are_refused(tmp_path):
    path = saved(classifier(size=(16, 16)), tmp_path)
    with pytest.raises(
        UserError, match="takes images of 16 × 16 pixels only, but they have 12 × 10"
    ):
        opened(path)


def test_classes_that_do_not_fit_are_refused(tmp_path):
    path = saved(classifier(), tmp_path)
    with pytest.raises(UserError, match="has 5 outputs, and the images 4 classes"):
        opened(path, class_names=NAMES[:4])


def test_nan_weights_are_refused(tmp_path):
    model = classifier()
    tensor = next(t for t in model.graph.initializer if t.name == "m")
    tensor.CopyFrom(numpy_helper.from_array(np.full((8, CLASSES), np.nan, np.float32), "m"))
    with pytest.raises(UserError, match="no numbers"):
        opened(saved(model, tmp_path))


def test_a_file_larger_than_the_memory_is_refused(tmp_path, monkeypatch):
    path = saved(classifier(), tmp_path)

    class Little:
        available = 100

    monkeypatch.setattr("psutil.virtual_memory", lambda: Little)
    with pytest.raises(UserError, match="needs more memory than there is"):
        core_of(path)


def test_mean_and_deviation_do_not_go_with_whole_numbers(tmp_path):
    path = saved(classifier(element=UINT8), tmp_path)
    with pytest.raises(UserError, match="takes pixels as 8-bit integers"):
        opened(path, Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD))


def test_as_many_numbers_as_channels(tmp_path):
    path = saved(classifier(), tmp_path)
    with pytest.raises(UserError, match="mean has 2 numbers, but the model has 3 channels"):
        opened(path, Preprocessing(mean=(0.1, 0.2)))


class Hostile:
    def __reduce__(self):
        return (open, ("hostile was here", "w"))


@pytest.mark.parametrize("name", ["model.pt2", "model.pt", "model.pth", "model.th"])
def test_a_hostile_file_of_pytorch_is_refused_unread(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for member in ("archive/data.pkl", "serialized_exported_program.json", "model/data.pkl"):
            archive.writestr(member, pickle.dumps(Hostile()))
    (tmp_path / name).write_bytes(content.getvalue())
    with pytest.raises(UserError, match=r"torch\.onnx\.export"):
        core_of(tmp_path / name)
    assert not (tmp_path / "hostile was here").exists()
