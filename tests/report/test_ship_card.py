"""The card of the variant to ship: the rule with gate and flips, who came second, what runs it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from squeezed.data.geometry import Geometry
from squeezed.data.image_files import to_array
from squeezed.reporting.collection import collect
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.recommendation import recommend
from squeezed.reporting.ship_card import ship_card, snippet_of
from tests.report.made_up import MadeUp, paper_like, settings_of

NAMES = ["red", "green", "blue"]


def results(folder: Path, made_up: MadeUp) -> Experiment:
    (experiment,) = collect(made_up.write(folder), None, {"digits": settings_of()})
    return experiment


def test_what_the_gate_marks_unreliable_is_not_shipped(tmp_path: Path) -> None:
    made_up = paper_like()
    made_up.reliable = {"quantized": False}
    found = recommend(results(tmp_path, made_up))
    assert found.variant == "pruned_quantized"
    made_up.reliable |= {"pruned_quantized": False, "ablated": False, "linear_quantized": False}
    found = recommend(results(tmp_path / "all", made_up))
    assert found.variant is None and "marked unreliable by the gate" in found.reason


def test_what_changes_many_predictions_is_not_shipped_however_accurate(tmp_path: Path) -> None:
    made_up = paper_like()
    small = ("quantized", "pruned_quantized", "linear_quantized", "ablated")
    made_up.flipped = dict.fromkeys(small, 266)
    found = recommend(results(tmp_path, made_up))
    assert found.variant is None
    assert "Quantized changes 26.6" in found.reason and "more than 10 %" in found.reason


def test_too_few_images_give_no_recommendation_and_say_so(tmp_path: Path) -> None:
    found = recommend(results(tmp_path, replace(paper_like(), n=30)))
    assert found.variant is None
    assert found.reason.startswith("No recommendation, because 30 test images are too few to tell")


def test_the_card_says_why_the_second_lost(tmp_path: Path) -> None:
    flipping = paper_like()
    flipping.accuracy["pruned_quantized"] = flipping.accuracy["quantized"]
    found = recommend(results(tmp_path / "flips", flipping))
    assert found.variant == "quantized"
    assert "changes 4.0\u202f% of the predictions against 0.3" in found.runner_up
    larger = paper_like()
    larger.size["pruned_quantized"] = 3_450_000
    larger.flipped = {}
    found = recommend(results(tmp_path / "size", larger))
    assert found.runner_up == "Linear quantized has a file 1.11× as large."
    lossy = paper_like()
    lossy.accuracy |= {"pruned_quantized": 0.9, "linear_quantized": 0.9, "ablated": 0.9}
    found = recommend(results(tmp_path / "loss", lossy))
    assert found.runner_up.startswith("Pruned quantized changes accuracy by −7.5")
    assert "a loss of more than 2 points" in found.runner_up


def test_the_card_says_why_a_smaller_one_lost(tmp_path: Path) -> None:
    made_up = paper_like()
    made_up.accuracy["ablated"] = 0.9
    assert recommend(results(tmp_path / "first", made_up)).smaller == ""
    made_up.size["ablated"] = 500_000
    found = recommend(results(tmp_path / "second", made_up))
    assert found.variant == "quantized" and "Ablated" not in found.runner_up
    assert found.smaller.startswith("Ablated changes accuracy by −")
    assert found.smaller.endswith("that is a loss of more than 2 points.")
    made_up.accuracy["ablated"] = made_up.accuracy["quantized"]
    found = recommend(results(tmp_path / "third", made_up))
    assert (found.variant, found.smaller) == ("ablated", "")


def test_the_card_names_the_file_that_was_evaluated_and_its_harm(tmp_path: Path) -> None:
    experiment = results(tmp_path, paper_like())
    digest = "ab" * 32
    record = experiment.records[0, "quantized", "evaluation"]
    record["provenance"] = {"inputs_sha256": {"graph": digest, "baseline": "cd" * 32}}
    card = ship_card(experiment, {}, {})
    assert card.file == "models/digits/seed0/quantized.onnx" and card.sha256 == digest
    harms = dict(card.harms)
    assert harms["Predictions changed"].startswith("0.3") and "1,000 images" in str(harms)
    assert any("1,000 test images" in limit for limit in card.limits)
    assert any("Not measured: corrupted images." in limit for limit in card.limits)


def write_graph(path: Path) -> None:
    """Write a graph whose logits are the mean red, green and blue of an image."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "means", [images], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"classes": json.dumps(NAMES)})
    path.parent.mkdir(parents=True)
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("resize", "crop"), [(None, None), (40, None), (None, 32), (40, 32), (37, 32)]
)
def test_the_snippet_runs_in_five_lines_on_the_pixels_that_were_evaluated(
    tmp_path: Path, resize: int | None, crop: int | None
) -> None:
    write_graph(tmp_path / "models/m.onnx")
    pixels = np.random.default_rng(0).integers(0, 120, (61, 83, 3), dtype=np.uint8)
    pixels[..., 1] += 100
    picture = Image.fromarray(pixels)
    picture.save(tmp_path / "image.png")
    code = snippet_of("models/m.onnx", {"resize": resize, "crop": crop})
    assert len(code.splitlines()) == 5
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stdout == "green\n", run.stderr
    scope: dict[str, Any] = {}
    lines = [
        line.replace('"image.png"', repr(str(tmp_path / "image.png"))) for line in code.splitlines()
    ]
    exec("\n".join([lines[0], *lines[2:4]]), scope)  # what it opens, without the graph
    evaluated = to_array(Geometry(resize, crop).apply(picture))
    assert np.array_equal(scope["pixels"][0], evaluated.astype(np.float32) / 255)
