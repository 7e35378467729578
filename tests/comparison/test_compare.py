"""What changed between two models, on small models and images whose answers are known."""

import re
import tracemalloc

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnxruntime.quantization import quantize_static
from PIL import Image
from scipy import stats

from squeezed.comparison.comparison import compare
from squeezed.comparison.image_by_image import Answers, answers_of
from squeezed.comparison.pair import Reading, open_together
from squeezed.comparison.pictures import Pictures
from squeezed.comparison.tables import class_table, summary_table
from squeezed.comparison.wording import LARGER, SLOWER, points, sentences_on_files
from squeezed.foundation.errors import UserError
from squeezed.graphs.foreign.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from squeezed.statistics.comparisons import holm
from tests.foreign.models import CLASSES, classifier, images, saved
from tests.foreign.test_import import Images, run


def answers(labels, original, compressed):
    n = len(original)
    return Answers(
        labels=None if labels is None else np.array(labels),
        original=np.array(original),
        compressed=np.array(compressed),
        original_ties=np.zeros(n, bool),
        compressed_ties=np.zeros(n, bool),
        original_confidence=np.full(n, 0.5),
        compressed_confidence=np.full(n, 0.5),
        divergence=np.zeros(n),
    )


def test_changes_are_counted_by_kind():
    found = answers([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0, 1, 0, 1, 2, 0])
    assert found.kinds().tolist() == ["same", "broken", "fixed", "same", "other wrong", "same"]
    table = summary_table(found).set_index("measure")
    assert table.loc["changed", "count"] == 3
    assert [table.loc[k, "count"] for k in ("broken", "fixed", "other_wrong")] == [1, 1, 1]
    assert table.loc["accuracy_change", "value"] == 0
    assert (table["n"] == 6).all()
    intervals = table.dropna(subset=["low"])
    assert (intervals["low"] <= intervals["value"] + 1e-12).all()
    assert (intervals["value"] <= intervals["high"] + 1e-12).all()


def test_without_labels_there_is_agreement_alone():
    table = summary_table(answers(None, [0, 1], [0, 0])).set_index("measure")
    assert table.loc["changed", "count"] == 1
    assert not any(name.startswith("accuracy") for name in table.index)


def test_classes_are_corrected_for_their_number():
    labels = np.repeat(np.arange(4), 50)
    compressed = labels.copy()
    compressed[:9] = 3
    table = class_table(answers(labels, labels, compressed), ["a", "b", "c", "d"])
    worst = table.iloc[0]
    assert (worst["class"], worst["broken"], worst["fixed"]) == ("a", 9, 0)
    assert worst["p_value"] == pytest.approx(2 / 2**9)
    assert worst["p_value_holm"] == pytest.approx(4 * 2 / 2**9)
    assert (table["p_value_holm"].iloc[1:] == 1).all()


def test_holm_agrees_with_the_definition():
    values = np.array([0.01, 0.04, 0.03, 0.005])
    # In order: 4 × 0.005, 3 × 0.01, 2 × 0.03, and no less than the one before for 1 × 0.04.
    np.testing.assert_allclose(holm(values), [0.03, 0.06, 0.06, 0.02])


def test_an_array_of_images_gives_tables(pair):
    given = images(64, seed=5)
    labels = run(pair[0].read_bytes(), given).argmax(axis=1)
    found = compare(*pair, given, labels)
    expected = run(pair[1].read_bytes(), given).argmax(axis=1) != labels
    assert int(found.value("changed")["count"]) == expected.sum()
    assert int(found.value("broken")["count"]) == expected.sum()
    assert found.value("accuracy_original")["value"] == 1
    assert len(found.changed) == expected.sum()
    assert found.layers["stored_original"].tolist() == ["float32", "float32"]
    assert found.layers["stored_compressed"].tolist() == ["int8", "int8"]
    assert found.files["layers_stored_in_float"].tolist() == [2, 0]
    assert (found.divergence["matched_by"] == "name").all()
    assert 0 < found.divergence["relative_error"].max() < 0.3
    assert isinstance(found.worst_classes, pd.DataFrame)


def test_a_model_and_itself_are_the_same(tmp_path):
    path = saved(classifier(), tmp_path)
    found = compare(path, path, images(10))
    assert int(found.value("changed")["count"]) == 0
    assert found.value("divergence_nats")["value"] == pytest.approx(0, abs=1e-9)


def test_nothing_of_the_users_is_changed(pair):
    before = [path.read_bytes() for path in pair]
    for path in pair:
        path.chmod(0o444)
    names = sorted(p.name for p in pair[0].parent.iterdir())
    compare(*pair, images(5))
    assert [path.read_bytes() for path in pair] == before
    assert sorted(p.name for p in pair[0].parent.iterdir()) == names


def test_layers_that_stayed_in_float_are_said(tmp_path):
    source, target = saved(classifier(), tmp_path), tmp_path / "half.onnx"
    quantize_static(source, target, Images(), op_types_to_quantize=["Gemm"])
    found = compare(source, target, images(5))
    assert "1 of 2 layers are still float." in found.sentences


def test_weights_behind_casts_that_run_in_float_are_said(tmp_path):
    """What a quantizer left as integers that are turned into floats before each use."""
    model = classifier()
    weight = next(t for t in model.graph.initializer if t.name == "w")
    values = numpy_helper.to_array(weight)
    scale = np.float32(np.abs(values).max() / 127)
    weight.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(scale), "w_scale"))
    node = onnx.helper.make_node("DequantizeLinear", ["w", "w_scale"], ["w_real"], "w_back")
    model.graph.node.insert(0, node)
    model.graph.node[1].input[1] = "w_real"
    found = compare(saved(classifier(), tmp_path), saved(model, tmp_path, "b.onnx"), images(5))
    assert any("but the engine computes them in float" in each for each in found.sentences)


def test_another_preprocessing_that_does_better_is_said(tmp_path):
    path = saved(classifier(seed=4), tmp_path)
    given = images(150, seed=2)
    given = (given * np.random.default_rng(0).random((150, 3, 1, 1))).astype(np.float32)
    seen = Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD).apply(given)
    labels = run(path.read_bytes(), seen).argmax(axis=1)
    assert len(np.unique(labels)) > 2
    found = compare(path, path, given, [str(label) for label in labels])
    assert found.sentences[0].startswith(
        "The preprocessing is probably another: pixels from 0 to 1"
    )
    assert "0.485, 0.456, 0.406" in found.sentences[0]
    right = compare(
        path, path, given, [str(x) for x in labels], mean=IMAGENET_MEAN, std=IMAGENET_STD
    )
    assert right.preprocessing_check.better is None


def test_overconfidence_is_confidence_less_accuracy(pair):
    given = images(60)
    logits = run(pair[0].read_bytes(), given).astype(float)
    labels = np.arange(60) % CLASSES
    found = compare(*pair, given, labels)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    excess = shares.max(axis=1) - (logits.argmax(axis=1) == labels)
    row = found.value("overconfidence_original")
    assert row["value"] == pytest.approx(excess.mean(), abs=1e-6)
    expected = stats.t.interval(0.95, 59, excess.mean(), stats.sem(excess))
    assert (row["low"], row["high"]) == pytest.approx(expected, rel=1e-3)


def tied(folder, name, ties):
    """A model whose first two outputs are equal, or nearly."""
    model = classifier()
    for tensor in model.graph.initializer:
        if tensor.name in ("m", "o"):
            values = numpy_helper.to_array(tensor).copy()
            if tensor.name == "o":
                values[0] += 5
            values[..., 1] = values[..., 0] + (0 if ties or tensor.name == "m" else 1e-3)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return saved(model, folder, name)


def test_ties_are_counted_and_the_first_is_taken(tmp_path):
    given = images(40)
    first, second = tied(tmp_path, "a.onnx", True), tied(tmp_path, "b.onnx", False)
    found = compare(first, second, given)
    logits = run(first.read_bytes(), given)
    expected = (logits.argmax(axis=1) == 0).sum()
    assert expected > 0
    assert int(found.value("ties_original")["count"]) == expected
    assert any(f"For {expected} of 40 images" in each for each in found.sentences)
    assert (found.changed["original"] == "output 0").all()


def folder_of(tmp_path, sizes, split="test"):
    given = images(20, seed=6)
    for k, image in enumerate(given):
        folder = tmp_path / "photos" / split / f"{k % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = Image.fromarray((image.transpose(1, 2, 0) * 255).round().astype(np.uint8))
        pixels.resize(sizes[k % len(sizes)]).save(folder / f"{k:02d}.png")
    return tmp_path / "photos", given


def test_class_folders_give_labels(pair, tmp_path):
    folder, given = folder_of(tmp_path, [(10, 12)])
    found = compare(*pair, folder)
    logits = run(pair[0].read_bytes(), given)
    expected = (logits.argmax(axis=1) == np.arange(20) % CLASSES).mean()
    assert found.value("accuracy_original")["value"] == pytest.approx(expected)


def test_a_csv_gives_labels(pair, tmp_path):
    folder, given = folder_of(tmp_path, [(10, 12)])
    predicted = run(pair[0].read_bytes(), given).argmax(axis=1)
    files = [f"test/{k % CLASSES}/{k:02d}.png" for k in range(20)]
    rows = [f"{file},{label}" for file, label in zip(files, predicted, strict=True)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,label", *rows]))
    assert compare(*pair, folder, table).value("accuracy_original")["value"] == 1
    table.write_text("file,label\nnowhere.png,1\n")
    with pytest.raises(UserError, match=r"names 'nowhere\.png', which is no image"):
        compare(*pair, folder, table)


def test_pictures_of_many_sizes_are_brought_to_the_models(pair, tmp_path):
    folder, _ = folder_of(tmp_path, [(30, 40), (50, 20)])
    found = compare(*pair, folder)
    assert any(each.startswith("Images were resized to") for each in found.sentences)


def test_an_array_of_another_size_is_refused(pair):
    with pytest.raises(
        UserError, match=r"takes images of 12 × 10 pixels, the array's have 16 × 16"
    ):
        compare(*pair, images(size=(16, 16)))


def test_a_damaged_picture_is_named(pair, tmp_path):
    folder, _ = folder_of(tmp_path, [(10, 12)])
    (folder / "test/0/00.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"00\.png cannot be read as an image"):
        compare(*pair, folder)


def test_other_numbers_of_classes_are_refused(tmp_path):
    first = saved(classifier(), tmp_path)
    second = saved(classifier(classes=6), tmp_path, "b.onnx")
    with pytest.raises(UserError, match="they cannot be compared"):
        compare(first, second, images())


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    side = 224
    paths = [saved(classifier(size=(side, side)), tmp_path)]
    paths.append(saved(classifier(size=(side, side), seed=9), tmp_path, "b.onnx"))

    def peak(n):
        def read(index):
            return Image.new("RGB", (side, side), (index % 256, 99, 7 * index % 256))

        pictures = Pictures([str(k) for k in range(n)], read, None, None, None)
        models, _ = open_together(paths, pictures, Reading(), 1)
        tracemalloc.start()
        found = answers_of(*models, pictures, "comparing")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found.original) == n
        return most

    few, many = peak(96), peak(384)
    one = side * side * 3 * 4
    assert few > 32 * one, "a batch is traced at all"
    assert many - few < 4 * one, "288 more images take less than four do"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (0.0123, "+1.23 points"),
        (-0.0123, "−1.23 points"),
        (-4e-6, "0.00 points"),
        (0, "0.00 points"),
    ],
)
def test_a_change_has_its_sign_unless_it_rounds_to_nothing(change, text):
    assert points(change) == text


@settings(deadline=None)
@given(st.floats(1e-4, 1e5), st.floats(0.5, 2), st.floats(0.5, 2))
def test_sentences_on_files_do_not_deny_themselves(latency, slower, larger):
    """“Slower: 0.05 ms instead of 0.05 ms”, said of a network of 80 KB."""
    original = {
        **dict.fromkeys(("layers", "layers_stored_in_float", "layers_executed_in_float"), 0),
        **dict.fromkeys(("parameters", "nonzero_parameters"), 100),
        **{"size_bytes": 1e6, "latency_ms": latency},
    }
    compressed = {**original, "size_bytes": 1e6 * larger, "latency_ms": latency * slower}
    said = " ".join(sentences_on_files(pd.DataFrame([original, compressed])))
    assert ("slower" in said) == (latency * slower > SLOWER * latency)
    assert ("times as large" in said) == (larger >= LARGER)
    assert "1.00 times" not in said
    if "slower" in said:
        after, before = re.findall(r"([\d.e+-]+) ms", said)
        assert float(after) > float(before)
