"""A tiny whole run of each of torchvision's families, by its smallest member: data to report."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.matrix import matrix
from tests.workflow.workspace import Workspace

CLASSES, TRAIN, TEST = 4, 20, 12
"""Classes, and images of each."""
SIZES = {
    "alexnet": 64, "convnext_tiny": 64, "densenet121": 64, "efficientnet_b0": 64,
    "efficientnet_v2_s": 64, "googlenet": 64, "inception_v3": 96, "maxvit_t": 224, "mnasnet0_5": 64,
    "mobilenet_v2": 64, "mobilenet_v3_small": 64, "regnet_y_400mf": 64, "resnet18": 64,
    "resnext50_32x4d": 64, "shufflenet_v2_x0_5": 64, "squeezenet1_1": 64, "swin_t": 64,
    "vgg11": 64, "vit_b_32": 64, "wide_resnet50_2": 64,
}  # fmt: skip
"""Smallest member of each family: height and width of its images."""


def write_photos(folder, size):
    """Write real handwritten digits, enlarged, in class folders."""
    digits = load_digits()
    for label in range(CLASSES):
        found = digits.images[digits.target == label][: TRAIN + TEST]
        for k, values in enumerate(found):
            path = folder / ("train" if k < TRAIN else "test") / f"digit {label}" / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            grey = Image.fromarray((values * 15.9).astype(np.uint8)).convert("RGB")
            grey.resize((size, size), Image.Resampling.BILINEAR).save(path)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("name", "size"), matrix(SIZES, "shufflenet_v2_x0_5"))
def test_it_runs_from_images_to_report(name, size, tmp_path):
    write_photos(tmp_path / "photos", size)
    workspace = Workspace.create(tmp_path / "project")
    workspace.configure("datasets.photos.source", {"kind": "folder", "path": "../photos"})
    workspace.configure("experiments.tiny.dataset", "photos")
    workspace.configure("experiments.tiny.architecture", {"name": name})
    workspace.configure("experiments.tiny.training", {"epochs": 1, "batch_size": 16})
    workspace.configure("experiments.tiny.embedding.images", 40)
    workspace.configure("experiments.tiny.attack_timing.images", 2)
    workspace.configure("experiments.tiny.evaluation.timed_images", 10)
    workspace.snakemake()
    variants = {path.name for path in (workspace.folder / "results/tiny/seed0").iterdir()}
    assert {"baseline", "pruned", "pruned_quantized"} <= variants
    for variant in ("baseline", "pruned", "pruned_quantized"):
        assert 0 <= workspace.result(variant, "evaluation")["top1_accuracy"] <= 1
        rows = (workspace.folder / f"results/tiny/seed0/{variant}/predictions.csv").read_text()
        assert len(rows.splitlines()) == 1 + CLASSES * TEST
    notes = json.loads((workspace.folder / "results/tiny/rehearsal.json").read_text())["notes"]
    report = (workspace.folder / "reports/generated/report.html").read_text()
    for note in notes:  # what an analysis cannot do with the architecture is said to the reader
        assert note.partition(": ")[2][:40] in report
    print(name, notes)
