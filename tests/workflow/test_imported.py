"""An experiment of files that another tool made, through the whole workflow."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import yaml
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from squeezed.data import open_dataset
from tests.foreign.models import classifier, saved
from tests.foreign.models import images as random_images
from tests.foreign.test_import import Images
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


def imported_result(path):
    return yaml.safe_load(path.read_text())
