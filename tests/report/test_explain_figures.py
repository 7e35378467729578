"""Figures 2 and 5: they hold what they must, and stay small enough for a page."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_cam import SHOWN_ACROSS, choose_shown, draw_cam, scaled
from squeezed.reporting.figure_tsne import draw_tsne, tsne_points
from squeezed.reporting.interactive_tsne import interactive_tsne

VARIANTS = ["baseline", "pruned", "quantized", "ablated", "pruned_quantized"]
CLASSES = [f"class {label} <&>" for label in range(10)]


class NoiseSplit:
    """Test images of pure noise: nothing compresses worse."""

    labels = np.arange(2000) % 10

    def __len__(self) -> int:
        return 2000

    def images(self, indices=None):
        return np.random.default_rng(0).random((len(indices), 3, 32, 32), dtype=np.float32)

    def batches(self, batch_size, indices=None):
        for start in range(0, len(indices), batch_size):
            chosen = indices[start : start + batch_size]
            yield self.images(chosen), self.labels[chosen]


class NoiseData:
    name = "noise"
    class_names = CLASSES
    image_size = (32, 32)
    test = NoiseSplit()


def write_maps(folder: Path, n: int) -> Experiment:
    generator = np.random.default_rng(1)
    experiment = Experiment("noise", (0,), VARIANTS, folder)
    labels = np.arange(n) % 10
    for variant in VARIANTS:
        path = experiment.path(0, variant, "tsne.csv")
        path.parent.mkdir(parents=True)
        frame = pd.DataFrame({"index": np.arange(n), "label": labels})
        frame["prediction"] = np.where(generator.random(n) < 0.9, labels, 0)
        frame[["x", "y"]] = generator.normal(size=(n, 2)) * 30
        frame.to_csv(path, index=False)
        save_file(
            {
                "guided_backprop": generator.random((20, 32, 32)).astype(np.float16),
                "grad_cam": np.zeros((20, 32, 32), dtype=np.float16),
                "indices": np.arange(20),
                "labels": labels[:20].astype(np.int64),
                "predictions": frame["prediction"].to_numpy()[:20].astype(np.int64),
                "probabilities": generator.random(20).astype(np.float32),
            },
            path.with_name("cam.safetensors"),
        )
    return experiment


def test_figure_2_names_every_variant_and_class_once(tmp_path):
    experiment = write_maps(tmp_path, 300)
    svg = draw_tsne(experiment, CLASSES)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for variant in ("Baseline", "Pruned", "Quantized", "Ablated", "Pruned quantized"):
        assert texts.count(variant) == 1
    assert sum(text.startswith("class ") for text in texts) == 10
    assert svg == draw_tsne(experiment, CLASSES)
    assert len(tsne_points(experiment)) == 300 * len(VARIANTS)


def test_the_interactive_maps_of_2000_images_stay_under_3_mb_and_hold_them_all(tmp_path):
    html = interactive_tsne(write_maps(tmp_path, 2000), NoiseData(), CLASSES)
    assert len(html.encode()) < 3_000_000
    assert "http" not in html.replace("http://www.w3.org", "")
    (payload,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    data = json.loads(payload)
    assert len(data["labels"]) == 2000
    assert [len(v["predictions"]) for v in data["variants"]] == [2000] * 5
    assert data["classes"][3] == "class 3 <&>"
    assert "<&>" not in html.replace(payload, "")  # escaped wherever it is markup


def test_figure_5_has_a_row_for_each_image_and_a_picture_for_each_variant(tmp_path):
    experiment = write_maps(tmp_path, 100)
    for method in ("guided_backprop", "grad_cam"):
        svg = draw_cam(experiment, NoiseData(), CLASSES, method)
        # one picture and five maps of each image, and the scale
        assert svg.count("<image") == SHOWN_ACROSS * 6 + 1
        assert "share of the map" in svg
        assert svg.count("true: class") == SHOWN_ACROSS


def test_without_maps_there_is_no_figure(tmp_path):
    experiment = Experiment("none", (0,), VARIANTS, tmp_path)
    assert draw_tsne(experiment, CLASSES) is None
    assert interactive_tsne(experiment, NoiseData(), CLASSES) is None
    assert draw_cam(experiment, NoiseData(), CLASSES, "grad_cam") is None


def test_heat_is_scaled_by_all_but_the_hottest_pixels():
    values = np.zeros((10, 100), dtype=np.float16)
    values.flat[:995] = 0.5
    values.flat[995:] = 60
    heat = scaled(values)
    assert heat.max() == 1
    assert 0 < heat.flat[0] <= 1
    assert scaled(np.zeros((4, 4))).max() == 0


@pytest.mark.parametrize(("count", "classes"), [(3, [0, 1, 3]), (4, [0, 1, 1, 3])])
def test_shown_images_are_of_as_many_classes_as_there_are(count, classes):
    labels = np.array([3, 3, 3, 1, 1, 0])
    assert labels[choose_shown(labels, count)].tolist() == classes
