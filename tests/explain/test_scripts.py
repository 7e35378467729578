"""The explainability scripts as Snakemake starts them, on tiny networks."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from squeezed.data import open_dataset
from squeezed.data.tensor_file import write_tensor_dataset
from squeezed.explain.attribution import Attributor
from squeezed.explain.selection import CHANGED_AT_MOST
from squeezed.foundation.results import exact_part, read_result
from squeezed.graphs.export import export_network
from squeezed.graphs.graph_file import GraphCard, write_graph
from squeezed.graphs.twin import load_twin
from squeezed.networks import VGG6, Classifier
from tests import PROJECT

SCRIPTS = PROJECT / "scripts"
N = 60
SETTINGS = {
    "device": "cpu",
    "threads": 1,
    "embedding": {"images": N, "classes": [], "layer": None, "neighbours": 5},
    "tsne": {"perplexity": 5, "random_runs": 2, "neighbours": 5},
    "cam": {
        "images": 12,
        "methods": ["guided_backprop", "grad_cam"],
        "layer": None,
        "steps": 4,
        "road_shares": [0.2, 0.5],
        "object": "ink",
        "masks": None,
        "randomisation_images": 4,
    },
}


def run(script: str, **arguments) -> None:
    """Run a script in this process, with the arguments that its rule gives it."""
    argv = [f"{script}.py"]
    for name, value in arguments.items():
        argv += [f"--{name.replace('_', '-')}", *([] if value is None else [str(value)])]
    before, sys.argv = sys.argv, argv
    try:
        runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
    finally:
        sys.argv = before


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A data set of two kinds of picture, and two networks with different weights."""
    folder = tmp_path_factory.mktemp("explain")
    generator = np.random.default_rng(0)
    splits = {}
    for split, n in (("train", 8), ("validation", 4), ("test", N)):
        labels = np.arange(n) % 2
        images = generator.integers(0, 90, (n, 3, 16, 16), dtype=np.uint8)
        images[labels == 0, :, 2:6, :] += 150
        images[labels == 1, :, :, 9:13] += 150
        splits[split] = (images, labels)
    write_tensor_dataset(
        folder / "data.safetensors",
        name="bars",
        class_names=["lying", "standing"],
        splits=splits,
        source={},
    )
    widths, hidden = (4, 4, 6, 6, 8, 8), (12, 10)
    for seed, variant in enumerate(("baseline", "pruned")):
        torch.manual_seed(seed)
        network = VGG6(2, (16, 16), widths=widths, hidden_features=hidden)
        card = GraphCard(
            class_names=["lying", "standing"],
            image_size=(16, 16),
            mean=[0.3] * 3,
            std=[0.3] * 3,
            architecture="vgg6",
            variant=variant,
            seed=0,
        )
        classifier = Classifier(network, card.mean, card.std).eval()
        write_graph(folder / f"{variant}.onnx", export_network(classifier, (16, 16)), card)
    for variant in ("baseline", "pruned"):
        explain(folder, variant, folder)
    return folder


def explain(
    folder: Path, variant: str, output: Path, settings=SETTINGS, baseline: bool | None = None
) -> None:
    """Run all three scripts of a variant."""
    (output / variant).mkdir(parents=True, exist_ok=True)
    compare = variant != "baseline" if baseline is None else baseline

    def of_baseline(file: str) -> Path | None:
        return folder / "baseline" / file if compare else None

    made = output / variant
    common = {"settings": json.dumps(settings), "seed": 0}
    model = {"graph": folder / f"{variant}.onnx", "dataset": folder / "data.safetensors"}
    run(
        "embed",
        **model,
        **common,
        baseline=of_baseline("embedding.safetensors"),
        baseline_images=of_baseline("embedding_images.csv"),
        features=made / "embedding.safetensors",
        images=made / "embedding_images.csv",
        result=made / "embedding.json",
    )
    run(
        "map_tsne",
        features=made / "embedding.safetensors",
        **common,
        baseline=of_baseline("tsne.csv"),
        map=made / "tsne.csv",
        result=made / "tsne.json",
    )
    run(
        "map_cam",
        **model,
        **common,
        masks=None,
        baseline=of_baseline("cam.safetensors"),
        baseline_images=of_baseline("cam_images.csv"),
        baseline_graph=folder / "baseline.onnx" if compare else None,
        predictions=_predicted(made),
        maps=made / "cam.safetensors",
        images=made / "cam_images.csv",
        result=made / "cam.json",
    )


def _predicted(made: Path) -> Path:
    """Write what a variant and the baseline are taken to say of each test image."""
    index = np.arange(N)
    columns = {"index": index, "prediction": index % 2, "baseline_prediction": index // 2 % 2}
    columns |= {"confidence": 0.5 + (7 * index % N) / (2 * N)}
    pd.DataFrame(columns).to_csv(made / "predictions.csv", index=False)
    return made / "predictions.csv"


@pytest.mark.parametrize(
    ("analysis", "names"),
    [
        ("embedding", ["knn_accuracy", "silhouette", "linear_probe_accuracy", "linear_cka"]),
        ("tsne", ["trustworthiness", "map_knn_accuracy"]),
        (
            "cam",
            [
                f"{source}_{score}"
                for source in ("guided_backprop", "grad_cam", "random", "centre", "edge")
                for score in ("deletion_auc", "insertion_auc", "road", "share_on_object")
            ]
            + [
                f"{source}_{area}_net"
                for source in ("guided_backprop", "grad_cam", "centre", "edge")
                for area in ("deletion", "insertion")
            ]
            + ["guided_backprop_rank_correlation", "grad_cam_rank_correlation"],
        ),
    ],
)
def test_results_have_their_fields_with_intervals(workplace, analysis, names):
    result = read_result(workplace / "pruned" / f"{analysis}.json")
    for name in names:
        if result[name] is not None:
            assert result[f"{name}_low"] <= result[name] <= result[f"{name}_high"], name
    for name in names:
        if "cka" not in name and "rank_correlation" not in name:
            assert f"{name}_difference_low" in result, name
    if analysis == "tsne":
        for name in names:
            assert len(result[f"{name}_runs"]) == 2
            assert result[f"{name}_spread"] >= 0


def test_the_baseline_is_like_itself(workplace):
    embedding = read_result(workplace / "baseline" / "embedding.json")
    assert embedding["linear_cka"] == pytest.approx(1)
    assert embedding["pixels_knn_accuracy"] == 1  # bars are told apart by their pixels
    cam = read_result(workplace / "baseline" / "cam.json")
    assert cam["guided_backprop_rank_correlation"] == pytest.approx(1)
    assert "knn_accuracy_difference" not in embedding


def test_variants_are_asked_about_the_same_images(workplace):
    for file in ("embedding.safetensors", "cam.safetensors"):
        ours, theirs = (load_file(workplace / v / file) for v in ("pruned", "baseline"))
        np.testing.assert_array_equal(ours["indices"], theirs["indices"])


def test_changed_images_are_explained_by_both_networks_for_what_each_says(workplace):
    table = pd.read_csv(workplace / "pruned" / "predictions.csv")
    changed = table[table["prediction"] != table["baseline_prediction"]]
    assert len(changed) > CHANGED_AT_MOST
    maps = load_file(workplace / "pruned" / "cam.safetensors")
    surest = changed.sort_values("confidence", ascending=False)["index"].head(CHANGED_AT_MOST)
    assert set(maps["changed_indices"]) == set(surest)
    images = open_dataset(workplace / "data.safetensors").test.images(maps["changed_indices"])
    rows = table.set_index("index").loc[maps["changed_indices"]]
    for prefix, variant, column in (
        ("changed_baseline", "baseline", "baseline_prediction"),
        ("changed", "pruned", "prediction"),
    ):
        attributor = Attributor(load_twin(workplace / f"{variant}.onnx"), "grad_cam")
        for place, (image, said) in enumerate(zip(images, rows[column], strict=True)):
            alone = attributor.maps(torch.from_numpy(image)[None], torch.tensor([said]))[0].numpy()
            scaled = alone / alone.max() if alone.max() > 0 else alone
            np.testing.assert_allclose(maps[f"{prefix}_grad_cam"][place], scaled, atol=2e-3)
    assert "changed_indices" not in load_file(workplace / "baseline" / "cam.safetensors")


def test_a_variant_that_is_the_baseline_differs_by_nothing(workplace, tmp_path):
    explain(workplace, "baseline", tmp_path, baseline=True)
    for analysis in ("embedding", "tsne", "cam"):
        result = read_result(tmp_path / "baseline" / f"{analysis}.json")
        differences = [value for name, value in result.items() if name.endswith("_difference")]
        assert differences
        assert all(value is None or value == 0 for value in differences)
    tsne = read_result(tmp_path / "baseline" / "tsne.json")
    assert tsne["procrustes_disparity"] == pytest.approx(0, abs=1e-9)


def test_results_reproduce_byte_for_byte(workplace, tmp_path):
    explain(workplace, "pruned", tmp_path)
    for path in (tmp_path / "pruned").iterdir():
        before = workplace / "pruned" / path.name
        if path.suffix == ".json":
            assert exact_part(read_result(path)) == exact_part(read_result(before))
        else:
            assert path.read_bytes() == before.read_bytes(), path.name


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("tsne", {"perplexity": 30}, "needs at least 91 images"),
        ("embedding", {"layer": "classifier.99"}, "classifier.99"),
        ("embedding", {"classes": ["lying", "flying"]}, "at least two are needed"),
        ("embedding", {"images": 10, "neighbours": 10}, "embedding.neighbours"),
        ("cam", {"object": "masks"}, "names no file"),
    ],
)
def test_bad_input_ends_with_one_sentence(workplace, tmp_path, section, change, message):
    settings = {**SETTINGS, section: {**SETTINGS[section], **change}}
    with pytest.raises(SystemExit) as ended:
        explain(workplace, "baseline", tmp_path, settings)
    assert str(ended.value).startswith("error: ")
    assert message in str(ended.value)
    assert "\n" not in str(ended.value)
