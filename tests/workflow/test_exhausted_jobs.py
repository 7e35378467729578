"""Each kind of job that runs out of memory or of disk says so in one sentence; the next run goes on.

A kind's inputs are what the kinds before it made, so that all of them run as in the workflow.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import PROJECT
from tests.configuration.test_recipes import experiment
from tests.made_sources import class_files, dataset_settings, write_folder
from tests.matrix import matrix
from tests.report.made_up import paper_like
from tests.workflow.foreman import Foreman, Outcome, foreman

ARCHITECTURE = {
    "name": "vgg6",
    "arguments": {"widths": [64, 4, 4, 4, 8, 8], "hidden_features": [16, 16]},
    "weights": None,
}
ATTACK = {"images": 8, "iterations": 2, "search_steps": 1}
SECTIONS = experiment(
    architecture=ARCHITECTURE,
    variants={"baseline": None, "quantized": {"step": "quantize"}},
    training={"epochs": 1, "batch_size": 16},
    quantization={"calibration_images": 8},
    attacks={"paper": ATTACK},
    attack_variations={"attack": "paper", "images": 2, "variants": ["baseline"]},
    attack_timing={"attack": "paper", "images": 2},
    diagnostics={"attack": "paper"},
    embedding={"images": 12},
    tsne={"perplexity": 2, "random_runs": 2},
    cam={"images": 4, "steps": 2, "randomisation_images": 2},
    evaluation={"timed_images": 8, "repeats": 1, "latency_runs": 2},
    device="cpu",
)

Arguments = Callable[["Shop", Path], Iterator[object]]


class Shop:
    """What every kind has made where nothing ran out, each made when first asked for."""

    def __init__(self, folder: Path, foreman: Foreman) -> None:
        self.folder = folder
        self.foreman = foreman
        write_folder(folder / "images", class_files(train=24, test=12, size=(64, 64)))
        paper_like().write(folder / "results", "digits")

    def made(self, kind: str) -> Path:
        """The folder of what a kind makes."""
        place = self.folder / kind
        if not place.exists():
            place.mkdir()
            outcome = self.run(kind, place)
            assert outcome.returncode == 0, outcome.output[-3000:]
        return place

    def run(self, kind: str, place: Path, **limits) -> Outcome:
        script, make = KINDS[kind]
        return self.foreman.run(script, list(map(str, make(self, place))), place, **limits)

    @property
    def dataset(self) -> Path:
        return self.made("prepare") / "set.safetensors"

    @property
    def baseline(self) -> Path:
        return self.made("export_graph") / "graph.onnx"


def files(place: Path, *names: str) -> Iterator[object]:
    """Outputs, named as their options are."""
    for name in (*names, "result.json"):
        yield from (f"--{name.partition('.')[0]}", place / name)


def settings(**sections: object) -> Iterator[object]:
    yield from ("--settings", json.dumps({"device": "cpu", "threads": 1, **sections}))


def prepare(shop, place):
    source = {"kind": "folder", "path": str(shop.folder / "images")}
    yield from ("--name", "set", "--settings", json.dumps(dataset_settings(source=source)))
    yield from ("--output", place / "set.safetensors", "--summary", place / "set.json")


def rehearse(shop, place):
    yield from ("--dataset", shop.dataset, "--summary", shop.made("prepare") / "set.json")
    chosen = ("architecture", "variants", "embedding", "tsne", "cam")
    yield from files(place)
    yield from settings(left_out=[], **{name: SECTIONS[name] for name in chosen})


def make_network(shop, place):
    yield from ("--dataset", shop.dataset, "--seed", "0")
    yield from files(place, "network.safetensors", "history.csv")
    recipe = SECTIONS["variants"]["baseline"]
    yield from settings(variant="baseline", recipe=recipe, architecture=ARCHITECTURE)


def export_graph(shop, place):
    network = shop.made("make_network") / "network.safetensors"
    yield from ("--network", network, "--dataset", shop.dataset)
    yield from files(place, "graph.onnx")
    yield from settings()


def make_graph(shop, place):
    yield from ("--parent", shop.baseline, "--dataset", shop.dataset, "--seed", "0")
    yield from files(place, "graph.onnx")
    yield from settings(variant="quantized", recipe=SECTIONS["variants"]["quantized"])


def on_baseline(section: str, *outputs: str, seed: bool = True) -> Arguments:
    """An analysis of the baseline's graph, of one section of the settings."""

    def arguments(shop, place):
        yield from ("--graph", shop.baseline, "--dataset", shop.dataset)
        yield from ("--seed", "0") if seed else ()
        yield from files(place, *outputs)
        yield from settings(**{section: SECTIONS[section]})

    return arguments


def map_tsne(shop, place):
    yield from ("--features", shop.made("embed") / "features.safetensors", "--seed", "0")
    yield from files(place, "map.csv")
    yield from settings(tsne=SECTIONS["tsne"])


def without_variants(section):
    return {key: value for key, value in section.items() if key != "variants"}


def attack(shop, place):
    yield from ("--graph", shop.baseline, "--dataset", shop.dataset)
    yield from files(place, "images.csv", "curve.csv", "tensors.safetensors")
    yield from settings(attack=without_variants(SECTIONS["attacks"]["paper"]))


def with_attack(section: str, *outputs: str, inputs=lambda shop: ()) -> Arguments:
    """A job of a section that names an attack."""

    def arguments(shop, place):
        yield from ("--dataset", shop.dataset)
        yield from inputs(shop)
        yield from files(place, *outputs)
        chosen = without_variants(SECTIONS[section])
        yield from settings(
            attack=without_variants(SECTIONS["attacks"]["paper"]), **{section: chosen}
        )

    return arguments


def attacked(shop):
    made = shop.made("attack")
    yield from ("--graph", shop.baseline, "--attack-images", made / "images.csv")
    yield from ("--attack-tensors", made / "tensors.safetensors")


def time_inference(shop, place):
    yield from ("--graphs", shop.baseline, "--dataset", shop.dataset)
    yield from files(place)
    yield from settings(evaluation=SECTIONS["evaluation"])


def compile_report(shop, place):
    yield from ("--results", shop.folder / "results", "--output", place / "report")


def compare(shop, place):
    yield from ("--original", shop.baseline, "--compressed", shop.made("make_graph") / "graph.onnx")
    yield from ("--images", shop.folder / "images")


KINDS: dict[str, tuple[str, Arguments]] = {
    "prepare": ("prepare_dataset", prepare),
    "rehearse": ("rehearse", rehearse),
    "make_network": ("make_network", make_network),
    "export_graph": ("export_graph", export_graph),
    "make_graph": ("make_graph", make_graph),
    "evaluate": (
        "evaluate",
        on_baseline("evaluation", "predictions.csv", "classes.csv", "reliability.csv",
                    "layers.csv", seed=False),
    ),
    "corrupt": (
        "corrupt",
        on_baseline("corruptions", "predictions.safetensors", "table.csv", seed=False),
    ),
    "embed": ("embed", on_baseline("embedding", "features.safetensors", "images.csv")),
    "tsne": ("map_tsne", map_tsne),
    "cam": ("map_cam", on_baseline("cam", "maps.safetensors", "images.csv")),
    "attack": ("attack", attack),
    "vary_attack": (
        "vary_attack",
        with_attack("attack_variations", "table.csv", inputs=lambda shop: ("--graph", shop.baseline)),
    ),
    "diagnose": ("diagnose_robustness", with_attack("diagnostics", "transfer.csv", inputs=attacked)),
    "time_inference": ("time_inference", time_inference),
    "time_attack": (
        "time_attack",
        with_attack("attack_timing", inputs=lambda shop: ("--graphs", shop.baseline)),
    ),
    "report": ("compile_report", compile_report),
    "compare": ("compare", compare),
}  # fmt: skip

MEGABYTES = (0, 2, 8, 32)
"""Of memory that are left once a job has imported what it needs."""
DISKS = {
    "a full disk": ({"disk": "size=4k"}, "the disk is full"),
    "a read-only disk": ({"disk": "size=4k,ro"}, "this place cannot be written to"),
    "files of 200 bytes": ({"limits": {"RLIMIT_FSIZE": 200}}, "the disk is full"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with foreman() as found:
        yield Shop(tmp_path_factory.mktemp("shop"), found)


def assert_one_sentence(outcome: Outcome) -> str:
    assert outcome.returncode == 1, (outcome.returncode, outcome.output[-3000:])
    assert "Traceback" not in outcome.output, outcome.output[-5000:]
    last = outcome.output.splitlines()[-1]
    assert last.startswith("error: "), outcome.output[-3000:]
    return last


def assert_goes_on(shop: Shop, kind: str, place: Path) -> None:
    outcome = shop.run(kind, place)
    assert outcome.returncode == 0, outcome.output[-3000:]


def test_every_script_that_computes_is_a_kind():
    """Those that are left out read and write as their neighbours do."""
    scripts = {path.stem for path in (PROJECT / "scripts").glob("*.py")}
    alike = {"compare_layers", "compare_seeds", "import_graph", "meet_unfamiliar"}
    assert {script for script, _ in KINDS.values()} == scripts - alike


@pytest.mark.parametrize("kind", matrix(list(KINDS), "export_graph", "report"))
@pytest.mark.parametrize("limit", DISKS)
def test_a_disk_that_takes_no_more_is_named_and_the_next_run_goes_on(shop, tmp_path, kind, limit):
    limits, sentence = DISKS[limit]
    if "disk" in limits and not shop.foreman.mounts:
        pytest.skip("this machine lets nobody mount a disk")
    assert sentence in assert_one_sentence(shop.run(kind, tmp_path, **limits))
    assert_goes_on(shop, kind, tmp_path)


@pytest.mark.parametrize("kind", matrix(list(KINDS), "evaluate"))
def test_memory_that_is_used_up_is_named_and_the_next_run_goes_on(shop, tmp_path, kind):
    """With a little more memory a job may just get through; it never ends in another way."""
    for megabytes in MEGABYTES:
        outcome = shop.run(kind, tmp_path, limits={"RLIMIT_AS": megabytes * 2**20})
        if outcome.returncode != 0:
            assert "the memory is used up" in assert_one_sentence(outcome)
        else:
            assert megabytes > 0
    assert_goes_on(shop, kind, tmp_path)
