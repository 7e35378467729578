"""Files that other tools made: their layers, what they broke and fixed, and the changed images."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from squeezed.foundation.results import write_result
from squeezed.paper.lens import LENS
from squeezed.reporting.collection import collect
from squeezed.reporting.document import compose
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.files import write_report
from squeezed.reporting.gallery import changed_images
from squeezed.reporting.harms import broken_share, fixed_share
from squeezed.reporting.table_layers import ROWS_AT_MOST, layers_of, layers_table
from squeezed.statistics.intervals import wilson_interval
from tests.report.conftest import TEMPLATES
from tests.report.made_up import PROVENANCE, paper_like, settings_of
from tests.report.made_up_pictures import write_pictures

FOREIGN = {"step": "import", "makes": "graph", "parent": None}
RECIPES: dict[str, dict[str, Any]] = {
    "baseline": FOREIGN | {"path": "theirs.onnx"},
    "int8": FOREIGN | {"path": "theirs_int8.onnx"},
    "ours": {"step": "quantize", "makes": "graph", "parent": "baseline"},
}
# As a configuration without one is completed.
SETTINGS = settings_of("digits", RECIPES) | {"architecture": None}
N, LAYERS = 200, 3


def written(folder: Path, layers: int = LAYERS) -> Experiment:
    """Write an imported pair: 4 predictions broken, 2 fixed, 1 wrong in another way."""
    paper_like().write(folder, variants=tuple(RECIPES), parts=("evaluation", "attacks"))
    seed = folder / "digits/seed0"
    labels = np.arange(N) % 10
    base = np.where(np.arange(N) % 20 == 19, (labels + 1) % 10, labels)
    own = base.copy()
    broken, fixed, other = [0, 1, 2, 3], [19, 39], [59]
    own[broken] = (labels[broken] + 3) % 10
    own[fixed] = labels[fixed]
    own[other] = (labels[other] + 2) % 10
    sure = np.linspace(0.5, 0.99, N)
    for variant, said in (("baseline", base), ("int8", own), ("ours", base)):
        pd.DataFrame(
            {
                "index": np.arange(N),
                "label": labels,
                "prediction": said,
                "confidence": sure,
                "baseline_prediction": base,
            }
        ).to_csv(seed / variant / "predictions.csv", index=False)
    pd.DataFrame(
        {
            "layer": [f"conv{k}" for k in range(layers)],
            "shape_original": "8x3x3x3",
            "stored_original": "float32",
            "executed_original": "float32",
            "shape_compressed": "8x3x3x3",
            "stored_compressed": ["float32"] + ["int8"] * (layers - 1),
            "executed_compressed": ["float32"] * 2 + ["int8"] * (layers - 2),
            "relative_error": [0.0, *np.linspace(0.01, 0.3, layers - 1)],
            "matched_by": "name",
        }
    ).to_csv(seed / "int8/layer_divergence.csv", index=False)
    metrics = {
        "n_images": 32,
        "layers": layers,
        "layers_stored_in_float": 1,
        "layers_executed_in_float": 2,
        "largest_relative_error": 0.3,
        "largest_relative_error_layer": f"conv{layers - 1}",
    }
    write_result(seed / "int8/layer_divergence.json", metrics, provenance=PROVENANCE)
    for variant, size in (("baseline", 1000), ("int8", 1500)):
        path = seed / variant / "import.json"
        write_result(path, {"original_size_bytes": size}, provenance=PROVENANCE)
    (experiment,) = collect(folder, None, {"digits": SETTINGS})
    return experiment


def test_layers_say_what_is_stored_executed_and_where_they_part(tmp_path: Path) -> None:
    table = layers_table("layers", written(tmp_path))
    assert table is not None
    rows = {name: [cell.text for cell in cells] for name, cells in table.rows}
    assert rows["conv0"] == ["float32", "float32", "0.0\u202f%"]
    assert rows["conv1"] == ["float32", "int8 → float32", "1.0\u202f%"]
    assert rows["conv2"] == ["float32", "int8", "30.0\u202f%"]
    said = " ".join(table.notes)
    for words in (
        "1 of 3 layers are still float",
        "1 of 3 layers are stored in 8 bits or fewer, but the engine computes them in float",
        "the file is 1.50 times as large as the original",
        "parts most at conv2: by 30.0\u202f% of what it gives",
    ):
        assert words in said
    assert "Ours" not in said


def test_of_many_layers_those_are_shown_that_part_most(tmp_path: Path) -> None:
    experiment = written(tmp_path, layers=50)
    table = layers_table("layers", experiment)
    assert table is not None and len(table.rows) == ROWS_AT_MOST
    assert [name for name, _ in table.rows] == [f"conv{k}" for k in range(30, 50)]
    assert len(table.frame) == len(layers_of(experiment)) == 50
    assert any("The 20 of 50 layers" in note for note in table.notes)


def test_broken_and_fixed_are_counted_with_wilsons_interval(tmp_path: Path) -> None:
    experiment = written(tmp_path)
    for measure, count in ((broken_share, 4), (fixed_share, 2)):
        found = measure(experiment, "int8")
        assert found is not None
        assert found.value == count / N
        assert found.ends == pytest.approx(wilson_interval(count, N))
        assert measure(experiment, "baseline") is None


def test_changed_images_are_those_of_the_imported_the_surest_first(tmp_path: Path) -> None:
    changed = changed_images(written(tmp_path))
    assert changed["ours"] == []
    assert [one.index for one in changed["int8"]] == [59, 39, 19, 3, 2, 1, 0]
    assert [one.kind for one in changed["int8"]] == ["other", "fixed", "fixed", *["broken"] * 4]


def test_the_page_shows_them_and_nothing_without_imports(tmp_path: Path) -> None:
    results = tmp_path / "results"
    experiment = written(results)
    write_pictures(results / "digits/seed0", tmp_path / "data/digits.safetensors", ())
    document = compose([experiment], {"digits": SETTINGS}, tmp_path / "data", [LENS])
    write_report(document, TEMPLATES, tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    for words in ("What became of each layer", "Images whose prediction changed", "Broken"):
        assert words in page
    assert re.search(r"<td[^>]*>int8 → float32</td>", page)
    assert len(pd.read_csv(tmp_path / "out/tables/digits/layers.csv")) == LAYERS
    plain = paper_like().write(tmp_path / "plain")
    (other,) = collect(plain, None, {"digits": settings_of()})
    assert layers_table("layers", other) is None
