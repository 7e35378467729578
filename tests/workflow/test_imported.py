"""An experiment of files that another tool made, through the whole workflow."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import yaml
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from squeezed.data import open_dataset
from squeezed.graphs.foreign.tflite_core import TfliteCore
from tests.foreign.models import classifier, saved
from tests.foreign.models import images as random_images
from tests.foreign.test_import import Images
from tests.foreign.tflite_models import INT8
from tests.foreign.tflite_models import classifier as tflite_classifier
from tests.workflow.workspace import TINY, Workspace

pytestmark = [pytest.mark.slow, pytest.mark.workflow]


class Calibration(Images):
    """As many pixels as the digits have."""

    def __init__(self):
        self.batches = iter(random_images(20, (32, 32), seed=3)[:, None])


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A finished run of a model and its 8-bit version, with as few other analyses as can be."""
    folder = tmp_path_factory.mktemp("imported") / "project"
    configuration = yaml.safe_load(TINY.read_text())
    section = configuration["experiments"].pop("tiny")
    for key in ("architecture", "training", "pruning"):
        section.pop(key)
    section["variants"] = {
        "baseline": {"step": "import", "path": "model.onnx"},
        "int8": {"step": "import", "path": "model_int8.onnx"},
    }
    for attack in section["attacks"].values():
        attack["variants"] = ["baseline"]
    configuration["experiments"]["mine"] = section
    configuration["run"] = ["mine"]
    path = folder.parent / "config.yaml"
    path.write_text(yaml.safe_dump(configuration))
    workspace = Workspace.create(folder, path)
    source = saved(classifier(size=(32, 32), classes=10), folder)
    quantize_static(
        source, folder / "model_int8.onnx", Calibration(), quant_format=QuantFormat.QDQ,
        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8, per_channel=True,
    )  # fmt: skip
    workspace.first = workspace.snakemake()
    return workspace


def test_the_report_says_what_changed(imported):
    made = imported.folder / "reports/generated"
    page = (made / "report.html").read_text()
    for words in ("What became of each layer", "Images whose prediction changed", "Broken"):
        assert words in page
    layers = pd.read_csv(made / "tables/mine/layers.csv")
    assert layers["layer"].tolist() == ["conv", "linear"]
    assert layers["stored_original"].tolist() == ["float32"] * 2
    assert layers["stored_compressed"].tolist() == ["int8"] * 2
    assert layers["relative_error"].between(1e-4, 0.3).all()


def test_what_is_broken_is_what_the_files_say(imported):
    folder = imported.folder
    test = open_dataset(folder / "data/digits.safetensors").test
    pixels = test.images(np.arange(len(test)))
    first, second = (
        onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        .run(None, {"x": pixels})[0]
        .argmax(axis=1)
        for name in ("model.onnx", "model_int8.onnx")
    )
    broken = (first == test.labels) & (second != test.labels)
    results = folder / "results/mine/seed0/int8"
    assert (first != second).sum() > 0
    assert (
        imported_result(results / "evaluation.json")["flipped_predictions"]
        == (first != second).sum()
    )
    assert imported_result(results / "evaluation.json")["flipped_to_wrong"] == broken.sum()
    table = pd.read_csv(folder / "reports/generated/tables/mine/changes.csv").set_index("variant")
    assert table.loc["int8", "broken_share"] == pytest.approx(broken.mean())


def test_only_what_reads_the_file_runs_again_with_another_one(imported):
    assert imported.planned() == set()
    saved(classifier(size=(32, 32), classes=10, seed=5), imported.folder, "other.onnx")
    imported.configure("experiments.mine.variants.int8.path", "other.onnx")
    planned = imported.planned()
    assert {"import_graph", "evaluate", "compare_layers", "compile_report"} <= planned
    assert "prepare_dataset" not in planned


def test_weights_beside_the_file_count(imported):
    """They changed, the file itself did not: whatever reads it runs again."""
    model = onnx.load(imported.folder / "model_int8.onnx")
    path = imported.folder / "outside.onnx"
    weights = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(model, path, **weights)
    imported.configure("experiments.mine.variants.int8.path", "outside.onnx")
    imported.snakemake("--until", "import_graph")
    assert "import_graph" not in imported.planned()
    before = path.read_bytes()
    changed = bytearray((imported.folder / "weights.bin").read_bytes())
    changed[len(changed) // 2] ^= 1
    (imported.folder / "weights.bin").write_bytes(changed)
    assert path.read_bytes() == before
    assert "import_graph" in imported.planned()


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    """A finished run of TFLite files: in float, in 8 bits, and one of which no twin can be made."""
    pytest.importorskip("ai_edge_litert")
    folder = tmp_path_factory.mktemp("brought") / "project"
    configuration = yaml.safe_load(TINY.read_text())
    section = configuration["experiments"].pop("tiny")
    for key in ("architecture", "training", "pruning"):
        section.pop(key)
    made = {"baseline": {}, "int8": {"kind": INT8}, "odd": {"extra": "ELU"}}
    section["variants"] = {name: {"step": "import", "path": f"{name}.tflite"} for name in made}
    for attack in section["attacks"].values():
        attack["variants"] = list(made)
    section["diagnostics"] = {"attack": "strong", "images": 4, "square_queries": 20}
    configuration["experiments"]["mine"] = section
    configuration["run"] = ["mine"]
    path = folder.parent / "config.yaml"
    path.write_text(yaml.safe_dump(configuration))
    workspace = Workspace.create(folder, path)
    for name, options in made.items():
        content = tflite_classifier(size=(32, 32), classes=10, **options)
        (folder / f"{name}.tflite").write_bytes(content)
    workspace.snakemake()
    return workspace


def test_litert_judges_a_tflite_file_and_its_twin_is_near(brought):
    results = brought.folder / "results/mine/seed0"
    test = open_dataset(brought.folder / "data/digits.safetensors").test
    pixels = test.images(np.arange(len(test)))
    core = TfliteCore(brought.folder / "int8.tflite")
    right = (core.run(pixels).argmax(axis=1) == test.labels).mean()
    evaluation = imported_result(results / "int8/evaluation.json")
    assert evaluation["engines"] == ["litert", "onnxruntime"]
    assert evaluation["top1_accuracy"] == pytest.approx(right)
    assert evaluation["onnxruntime_disagreement_share"] <= 0.15  # near ties of random weights
    imported = imported_result(results / "int8/import.json")
    assert imported["original_size_bytes"] == (brought.folder / "int8.tflite").stat().st_size
    assert imported["twin_disagreement_share"] <= 0.15  # near ties of random weights
    page = (brought.folder / "reports/generated/report.html").read_text()
    assert "judged by LiteRT; its twin, for gradients, predicts another class for" in page


def test_without_a_twin_robustness_is_judged_without_gradients(brought):
    results = brought.folder / "results/mine/seed0/odd"
    assert imported_result(results / "import.json")["why_no_twin"].endswith("ELU")
    found = imported_result(results / "diagnostics.json")
    assert not found["reliable"]
    assert found["reason"].startswith("Judged without gradients, because ")
    page = (brought.folder / "reports/generated/report.html").read_text()
    assert "no gradient is known of it" in page


def imported_result(path):
    return yaml.safe_load(path.read_text())
