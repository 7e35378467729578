"""The digest of a job's code is of all modules that the job imports, and of no other job's step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from squeezed.attacks.method import module_of
from squeezed.configuration.recipes import recipes_of
from squeezed.foundation.code_digest import imported_files
from tests import PROJECT
from tests.configuration.test_recipes import experiment
from tests.made_sources import class_files, dataset_settings, write_folder

RUNNER = """
import json, os, runpy, sys
listed = sys.argv[1]
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
with open(listed, "w", encoding="utf-8") as file:
    json.dump([f for f in files if f], file)
"""
STEPS = {
    PROJECT / "squeezed" / "steps" / f"{name}.py"
    for name in ("train", "prune", "ablate", "distil", "factorize", "quantize")
}
UNTRAINED = {"epochs": 0}
EXPERIMENT = {
    "architecture": {
        "name": "vgg6",
        "arguments": {"widths": [4, 4, 4, 4, 8, 8], "hidden_features": [16, 16]},
    },
    "variants": {
        "pruned": {"recovery": UNTRAINED},
        "ablated": {"recovery": UNTRAINED},
        "pruned_quantized": None,
        "linear_quantized": None,
        "distilled": {"step": "distil", "training": UNTRAINED},
        "factorized": {"step": "factorize", "recovery": UNTRAINED},
    },
    "training": UNTRAINED,
    "device": "cpu",
    "attacks": {
        "cw": {"method": "carlini_wagner", "images": 2, "iterations": 2},
        "ddn": {"method": "ddn", "images": 2, "steps": 2},
    },
}
NETWORKS = ("baseline", "pruned", "ablated", "distilled", "factorized")


class Jobs:
    """Real jobs, run one after another as the workflow runs them, each asked what it imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.experiment = experiment(**EXPERIMENT)
        self.recipes = recipes_of(self.experiment)
        self.imported: dict[tuple[str, str], set[Path]] = {}

    def run(self, script: str, kind: str, *arguments: object, **settings: object) -> None:
        listed = self.folder / "modules.json"
        command = [sys.executable, "-c", RUNNER, listed, PROJECT / "scripts" / f"{script}.py"]
        said = subprocess.run(
            [*map(str, [*command, *arguments]), "--settings", json.dumps(settings)],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert said.returncode == 0, said.stderr
        files = {Path(name).resolve() for name in json.loads(listed.read_text("utf-8"))}
        self.imported[script, kind] = {f for f in files if f.is_relative_to(PROJECT / "squeezed")}

    def path(self, name: str) -> Path:
        return self.folder / name

    def results(self, *names: str) -> list[object]:
        """Give each of a script's outputs a path, by the argument's name."""
        return [part for name in names for part in (f"--{name}", self.path(f"{name}.out"))]

    def prepare(self) -> None:
        root = write_folder(self.path("images"), class_files(train=20, test=10, size=(16, 16)))
        source = dataset_settings(source={"kind": "folder", "path": str(root)})
        files = ["--output", self.path("set.safetensors"), "--summary", self.path("set.json")]
        self.run("prepare_dataset", "", "--name", "set", *files, **source)

    def make(self, variant: str) -> None:
        recipe = self.recipes[variant]
        told = {
            "variant": variant,
            "recipe": recipe.as_mapping(),
            "device": "cpu",
            "threads": 1,
            "architecture": self.experiment["architecture"],
        }
        files: list[object] = ["--dataset", self.path("set.safetensors"), "--seed", "0"]
        if variant in NETWORKS:
            script = "make_network"
            files += ["--network", self.path(f"{variant}.safetensors")]
            files += self.results("result", "history")
            parent = f"{recipe.parent}.safetensors"
        else:
            script = "make_graph"
            files += ["--graph", self.path(f"{variant}.onnx"), *self.results("result")]
            parent = f"{recipe.parent}.onnx"
        if recipe.parent:
            files += ["--parent", self.path(parent)]
            del told["architecture"]
        self.run(script, recipe.entry.partition(":")[0], *files, **told)

    def of_baseline(self) -> None:
        data = ["--dataset", self.path("set.safetensors")]
        graph = ["--graph", self.path("baseline.onnx")]
        network = ["--network", self.path("baseline.safetensors")]
        self.run("export_graph", "", *network, *data, *graph, *self.results("result"))
        self.make("quantized")
        outputs = self.results("result", "predictions", "classes", "reliability", "layers")
        wanted = {key: self.experiment["evaluation"][key] for key in ("batch_size", "engines")}
        self.run("evaluate", "", *graph, *data, *outputs, evaluation=wanted, threads=1)
        for attack in self.experiment["attacks"].values():
            section = {key: value for key, value in attack.items() if key != "variants"}
            outputs = self.results("result", "images", "curve", "tensors")
            told = {"attack": section, "device": "cpu", "threads": 1}
            self.run("attack", module_of(attack["method"]), *graph, *data, *outputs, **told)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """One tiny job of each kind, by its script and the module that its settings name."""
    jobs = Jobs(tmp_path_factory.mktemp("jobs"))
    jobs.prepare()
    for variant in NETWORKS:
        jobs.make(variant)
    jobs.of_baseline()
    return jobs.imported


def digested(script, kind):
    entries = [kind] if kind else []
    return imported_files(PROJECT / "scripts" / f"{script}.py", PROJECT, entries=entries)


@pytest.mark.slow
def test_every_module_that_a_job_imports_counts(jobs):
    assert {kind for script, kind in jobs if script == "make_network"} == {
        f"squeezed.steps.{path.stem}" for path in STEPS
    } - {"squeezed.steps.quantize"}
    for (script, kind), imported in jobs.items():
        assert len(imported) > 10, script
        assert imported <= digested(script, kind), (script, kind)


@pytest.mark.slow
def test_no_other_step_counts(jobs):
    for script, kind in jobs:
        own = {PROJECT / f"{kind.replace('.', '/')}.py"} & STEPS
        assert digested(script, kind) & STEPS == own, (script, kind)
        assert jobs[script, kind] & STEPS == own, (script, kind)


def test_a_rehearsal_counts_the_steps_of_its_experiment():
    """It runs them all."""
    text = (PROJECT / "rules" / "models.smk").read_text(encoding="utf-8")
    rehearsal = text.partition("rule rehearse:")[2].partition("\nrule ")[0]
    assert 'code=code_of_steps("rehearse")' in rehearsal
