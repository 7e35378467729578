"""Each kind of job without memory or disk says so in one sentence, and the next run goes on.

A kind's inputs are what the kinds before it made, so that all of them run as in the workflow.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import PROJECT
from tests.configuration.test_recipes import experiment
from tests.made_sources import class_files, dataset_settings, write_folder
from tests.matrix import matrix
from tests.mounting import PRIVATE, require_mounts
from tests.report.made_up import paper_like

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
    embedding={"images": 20, "neighbours": 3},
    tsne={"perplexity": 3, "random_runs": 2, "neighbours": 3},
    cam={"images": 4, "steps": 2, "randomisation_images": 2},
    evaluation={"timed_images": 8, "repeats": 1, "latency_runs": 2},
    device="cpu",
)

# Loads a script with all that it imports, and only then sets the limit; that of memory is of what
# it takes on top.
LIMITED = """
import pathlib, resource, runpy, sys
script, what, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
main = runpy.run_path(script, run_name="limited")["main"]
sys.argv = [script, *sys.argv[4:]]
if what == "RLIMIT_AS":
    if "torch" in sys.modules:
        import torch
        torch.nn.functional.conv2d(torch.zeros(4, 3, 9, 9), torch.zeros(8, 3, 3, 3))  # its threads
    status = pathlib.Path("/proc/self/status").read_text()
    most += 1024 * int(status.partition("VmSize:")[2].split()[0])
resource.setrlimit(getattr(resource, what), (most, most))
main()
"""
MOUNTED = """
mount -t tmpfs -o $1 tmpfs "$2"; dd if=/dev/zero of="$2/filler" bs=4k 2>/dev/null
shift 2; exec "$@"
"""

Arguments = Callable[["Shop", Path], Iterator[object]]


class Shop:
    """What every kind has made where nothing ran out, each made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_folder(folder / "images", class_files(train=24, test=12, size=(64, 64)))
        paper_like().write(folder / "results", "digits")

    def made(self, kind: str) -> Path:
        """The folder of what a kind makes."""
        place = self.folder / kind
        if not place.exists():
            place.mkdir()
            done = self.run(kind, place)
            assert done.returncode == 0, done.stderr[-3000:]
        return place

    def run(self, kind, place, limit=None, disk=None):
        """Run a kind of job: under a limit of `setrlimit`, or on a full disk of these options."""
        script, make = KINDS[kind]
        path = PROJECT / "scripts" / f"{script}.py"
        first = [*PRIVATE, MOUNTED, "sh", disk, place] if disk else []
        limited = ["-c", LIMITED, path, *limit] if limit else [path]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        return subprocess.run(
            [str(word) for word in [*first, sys.executable, *limited, *make(self, place)]],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **one_thread},
            capture_output=True,
            text=True,
            timeout=600,
        )

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


def evaluate(shop, place):
    yield from ("--graph", shop.baseline, "--dataset", shop.dataset)
    yield from files(place, "predictions.csv", "classes.csv", "reliability.csv", "layers.csv")
    chosen = {key: SECTIONS["evaluation"][key] for key in ("batch_size", "engines")}
    yield from settings(evaluation=chosen)


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


on_graph = functools.partial(with_attack, inputs=lambda shop: ("--graph", shop.baseline))
on_graphs = functools.partial(with_attack, inputs=lambda shop: ("--graphs", shop.baseline))
CORRUPTED = ("predictions.safetensors", "table.csv")

KINDS: dict[str, tuple[str, Arguments]] = {
    "prepare": ("prepare_dataset", prepare),
    "rehearse": ("rehearse", rehearse),
    "make_network": ("make_network", make_network),
    "export_graph": ("export_graph", export_graph),
    "make_graph": ("make_graph", make_graph),
    "evaluate": ("evaluate", evaluate),
    "corrupt": ("corrupt", on_baseline("corruptions", *CORRUPTED, seed=False)),
    "embed": ("embed", on_baseline("embedding", "features.safetensors", "images.csv")),
    "tsne": ("map_tsne", map_tsne),
    "cam": ("map_cam", on_baseline("cam", "maps.safetensors", "images.csv")),
    "attack": ("attack", attack),
    "vary_attack": ("vary_attack", on_graph("attack_variations", "table.csv")),
    "diagnose": (
        "diagnose_robustness",
        with_attack("diagnostics", "transfer.csv", inputs=attacked),
    ),
    "time_inference": ("time_inference", time_inference),
    "time_attack": ("time_attack", on_graphs("attack_timing")),
    "report": ("compile_report", compile_report),
    "compare": ("compare", compare),
}
"""The script of each kind, and its arguments."""

LIMITS = {
    "no memory": ({"limit": ("RLIMIT_AS", 0)}, "the memory is used up"),
    "little memory": ({"limit": ("RLIMIT_AS", 4 * 2**20)}, "the memory is used up"),
    "small files": ({"limit": ("RLIMIT_FSIZE", 200)}, "the disk is full"),
    "a full disk": ({"disk": "size=4k"}, "the disk is full"),
    "a read-only disk": ({"disk": "size=4k,ro"}, "this place cannot be written to"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop"))


def test_every_script_that_computes_is_a_kind():
    """Those that are left out read and write as their neighbours do."""
    scripts = {path.stem for path in (PROJECT / "scripts").glob("*.py")}
    alike = {"compare_layers", "compare_seeds", "import_graph", "meet_unfamiliar"}
    assert {script for script, _ in KINDS.values()} == scripts - alike


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("kind", matrix(list(KINDS), "prepare", "report"))
def test_what_ran_out_is_said_and_the_next_run_goes_on(shop, tmp_path, kind, limit):
    limits, sentence = LIMITS[limit]
    if "disk" in limits:
        require_mounts()
    done = shop.run(kind, tmp_path, **limits)
    if limit == "little memory" and done.returncode == 0:
        return  # what was freed before was enough
    assert done.returncode == 1, (done.returncode, done.stderr[-3000:])
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert sentence in last
    done = shop.run(kind, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
