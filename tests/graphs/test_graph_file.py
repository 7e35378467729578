"""The file says all that a user needs, and the documented example gets the evaluated pixels."""

import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from PIL import Image

from squeezed.data.geometry import Geometry
from squeezed.data.image_files import open_rgb, to_array
from squeezed.foundation.errors import UserError
from squeezed.graphs.engines import open_engine
from squeezed.graphs.export import export_network
from squeezed.graphs.graph_file import GraphCard, read_graph, read_graph_card, write_graph
from squeezed.networks import VGG6, Classifier
from tests import PROJECT
from tests.steps.networks import CLASSES, MEAN, SIZE, STD, disturb, tiny_vgg


def card_of(size=SIZE, variant="baseline", classes=CLASSES, **fields):
    """A card for a tiny network."""
    return GraphCard(
        class_names=[f"class {k}" for k in range(classes)],
        image_size=size,
        mean=MEAN,
        std=STD,
        architecture="vgg6",
        variant=variant,
        seed=0,
        **fields,
    )


def test_a_card_comes_back_as_it_went(tmp_path):
    card = card_of(
        resize=10,
        crop=8,
        interpolation="bilinear",
        antialias=True,
        text="An image is …",
        scheme="static",
        recipe=[{"step": "train", "epochs": 3}, {"step": "quantize"}],
        parents={"baseline": "0" * 64},
        input_range=[0.0, 1.0],
    )
    graph = export_network(tiny_vgg(), SIZE)
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    write_graph(first, graph, card)
    write_graph(second, read_graph(first), card)
    assert first.read_bytes() == second.read_bytes()
    found = read_graph_card(first)
    assert found == read_graph_card(read_graph(first))
    assert {**vars(found), "input_range": [0.0, 1.0]} == vars(card)
    onnx.checker.check_model(str(first), full_check=True)


def test_what_is_no_graph_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(UserError, match=r"model\.onnx cannot be read"):
        read_graph(path)
    path.write_text("not a model")
    with pytest.raises(UserError, match=r"model\.onnx cannot be read"):
        read_graph(path)
    onnx.save(export_network(tiny_vgg(), SIZE), path)
    with pytest.raises(UserError, match="does not say how its images are prepared"):
        read_graph_card(path)


def pictures(folder):
    """Files of several shapes, formats and orientations, with structure at every scale."""
    generator = np.random.default_rng(0)
    for index, (height, width) in enumerate([(60, 90), (41, 40), (64, 48), (9, 30), (12, 12)]):
        small = generator.integers(0, 256, (height // 3, width // 3, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        exif[274] = [1, 6, 3, 8, 1][index]
        path = folder / f"{index}.{'png' if index % 2 else 'jpg'}"
        image.save(path, exif=exif)
        yield path
    Image.fromarray(generator.integers(0, 256, (20, 33), dtype=np.uint8)).save(folder / "grey.png")
    yield folder / "grey.png"


@pytest.mark.parametrize(("resize", "crop"), [(10, 8), (8, 8), (40, 32)])
def test_the_documented_example_reproduces_the_evaluated_pixels(resize, crop, tmp_path):
    """docs/onnx.md's script, run as it stands there, where this project cannot be imported."""
    (example,) = re.findall(
        r"```python\n(import json.*?)```", (PROJECT / "docs/onnx.md").read_text(), re.DOTALL
    )
    assert "squeezed" not in example
    script = tmp_path / "example.py"
    seen = tmp_path / "seen.npy"
    script.write_text(f"{example}\nnp.save({str(seen)!r}, images)\n")
    geometry = Geometry(resize, crop)
    network = VGG6(CLASSES, (crop, crop), widths=(4, 6), hidden_features=(12, 10))
    graph = export_network(Classifier(disturb(network), MEAN, STD), (crop, crop))
    path = tmp_path / "graph.onnx"
    write_graph(path, graph, card_of((crop, crop), **geometry.facts()))
    engine = open_engine(path, threads=1)
    for picture in pictures(tmp_path):
        finished = subprocess.run(
            [sys.executable, "-I", str(script), str(path), str(picture)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        pixels = to_array(geometry.apply(open_rgb(picture.read_bytes())))
        evaluated = pixels[None].astype(np.float32) / np.float32(255)
        assert np.array_equal(np.load(seen), evaluated), picture.name
        expected = int(engine.predict(evaluated)[0].argmax())
        assert finished.stdout.strip() == f"class {expected}"
