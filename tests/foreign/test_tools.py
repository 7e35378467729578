"""Files of real compression tools, made here: they come in and compute the same."""

import importlib.util

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from squeezed.comparison.comparison import compare
from squeezed.graphs.foreign.model import open_foreign
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.twin import build_twin
from tests.foreign.tools import CLASSES, PEERS, SIZE, TOOLS, examples, export, trained

LAYERS = 5
MISSING = "{} is not installed: uv pip install -r {}"
EVERY_TOOL = [
    pytest.param(tool, marks=[pytest.mark.slow] if tool in PEERS else []) for tool in TOOLS
]


def require(tool):
    """Skip, and say why, where a tool is not installed."""
    if tool in PEERS and importlib.util.find_spec(tool) is None:
        pytest.skip(MISSING.format(tool, PEERS[tool]))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What makes a tool's file, each once: (the network's file, the tool's file)."""
    folder = tmp_path_factory.mktemp("tools")
    network = trained()
    export(network, folder / "float.onnx")

    def file_of(tool):
        require(tool)
        target = folder / f"{tool}.onnx"
        if not target.exists():
            TOOLS[tool](network, folder / "float.onnx", target, examples(40, 3)[0])
        return folder / "float.onnx", target

    return file_of


def run(path, images):
    """Run a file as its user would, image by image, so that dynamic ranges are each image's own."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


@pytest.mark.parametrize("tool", EVERY_TOOL)
def test_the_comparison_counts_what_the_files_say(made, tool):
    original, compressed = made(tool)
    before = {file: file.read_bytes() for file in original.parent.iterdir()}
    images, labels = examples(200, 2)
    found = compare(original, compressed, images, labels)
    first, second = (run(path, images).argmax(axis=1) for path in (original, compressed))
    assert found.value("accuracy_original")["value"] > 0.9
    assert found.value("accuracy_compressed")["value"] == (second == labels).mean()
    assert int(found.value("changed")["count"]) == (first != second).sum()
    assert int(found.value("broken")["count"]) == ((first == labels) & (second != labels)).sum()
    assert {file: file.read_bytes() for file in original.parent.iterdir()} == before
    if tool == "torch-pruning":
        assert found.files["layers_stored_in_float"].tolist() == [LAYERS, LAYERS]
        assert found.layers["shape_compressed"].tolist() == [
            "12x3x3x3", "12x1x3x3", "12x12x1x1", "24x12x3x3", "6x24"
        ]  # fmt: skip
        weights = onnx.load(compressed).graph.initializer
        assert found.files["parameters"][1] == sum(
            int(np.prod(tensor.dims)) for tensor in weights if tensor.dims
        )
        return
    assert found.files["layers_stored_in_float"].tolist() == [LAYERS, 0]
    assert set(found.layers["stored_compressed"]) == {"int8"}
    assert found.value("accuracy_compressed")["value"] > 0.9
    # Each of the layers is compared, and 8 bits cost each of them something, but not much.
    assert len(found.divergence) == LAYERS
    assert found.divergence["relative_error"].between(1e-4, 0.25).all()


@pytest.mark.parametrize("tool", EVERY_TOOL)
def test_the_graph_computes_what_the_file_does_and_has_a_gradient(made, tool):
    _, path = made(tool)
    images, _ = examples(100, 2)
    names = [f"class {k}" for k in range(CLASSES)]
    model = open_foreign(path, Preprocessing(), names, SIZE, images[:8])
    expected = run(path, images)
    # Kernels are fused and batched otherwise; in 8 bits a rounding more or less is a step.
    spread = expected.std()
    np.testing.assert_allclose(model.logits(images), expected, atol=0.1 * spread)
    twin = build_twin(model.graph()).eval()
    pixels = torch.from_numpy(images).requires_grad_()
    logits = twin(pixels)
    assert (logits.detach().numpy().argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.98
    torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1), reduction="sum").backward()
    assert torch.isfinite(pixels.grad).all()
    assert (pixels.grad.flatten(1).norm(dim=1) > 0).float().mean() > 0.9


@pytest.mark.slow
def test_weights_beside_the_file_count_as_its_size(made):
    _, path = made("torchao")
    beside = path.with_name(f"{path.name}.data")
    images, _ = examples(20, 2)
    found = compare(path, path, images)
    assert found.files["size_bytes"][0] == path.stat().st_size + beside.stat().st_size


def test_weights_in_a_file_of_their_own_make_no_difference(made, tmp_path):
    """As large models have them: the layers are seen through, and the bytes count."""
    _, path = made("onnxruntime-qdq")
    target = tmp_path / "apart.onnx"
    onnx.save(
        onnx.load(path), target, save_as_external_data=True, location="apart.bin", size_threshold=64
    )
    images, _ = examples(40, 2)
    found = compare(path, target, images)
    assert int(found.value("changed")["count"]) == 0
    size = target.stat().st_size + (tmp_path / "apart.bin").stat().st_size
    assert found.files["size_bytes"][1] == size
    assert found.layers["executed_compressed"].tolist() == ["int8"] * LAYERS
